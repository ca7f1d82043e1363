"""How far two sets of vectors lie apart by a kernel: without a bias where samples are few."""

from torch import Tensor


def kernel_distance(x: Tensor, y: Tensor) -> float:
    """Return the squared maximum mean discrepancy of (N, D) and (M, D) by the kernel ``(a · b / D + 1)³``.

    Unbiased: its mean over samples of equal distributions is 0 at any N and M, so it may be below 0.

    Raises
    ------
    ValueError
        There are fewer than two samples on a side.

    Source: Bińkowski et al. 2018, section 4 (there the mean over subsets; here all samples at once).

    Examples
    --------
    >>> import torch
    >>> zero, one = torch.zeros(2, 1), torch.ones(3, 1)
    >>> kernel_distance(zero, one)  # 1 + 8 − 2
    7.0
    """
    if min(len(x), len(y)) < 2:
        raise ValueError(f"two samples a side are needed, and {len(x)} and {len(y)} are given")
    wide, other = x.double(), y.double()
    return float(_within(wide) + _within(other) - 2 * _kernel(wide, other).mean())


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    return (a @ b.T / a.shape[1] + 1) ** 3


def _within(a: Tensor) -> Tensor:
    """Return the mean of the kernel over pairs of different samples."""
    values = _kernel(a, a)
    return (values.sum() - values.diagonal().sum()) / (len(a) * (len(a) - 1))
