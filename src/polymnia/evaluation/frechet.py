"""How far two sets of vectors lie apart, as if each were a Gaussian; and how much of that is their small number."""

from collections.abc import Sequence
from statistics import fmean

import torch
from torch import Tensor

RESAMPLES = 100
"""Of a bootstrap."""


def frechet(x: Tensor, y: Tensor) -> float:
    """Return the Fréchet distance between the Gaussians of samples (N, D) and (M, D), in float64.

    ``‖m_x − m_y‖² + tr S_x + tr S_y − 2 tr (S_x S_y)^½``. The last trace is the sum of the singular values of
    ``A Bᵀ`` where ``S_x = Aᵀ A`` and ``S_y = Bᵀ B``, so that no root of a matrix is taken and samples may be fewer
    than D. Few samples make it too large: see `real_against_real`.

    Raises
    ------
    ValueError
        There are fewer than two samples on a side.

    Source: Heusel et al. 2017, eq. 6; Dowson and Landau 1982.

    Examples
    --------
    >>> x = torch.tensor([[0.0], [2.0]])  # mean 1, variance 2
    >>> round(frechet(x, 2 * x + 3), 6)  # mean 5, variance 8: (5 − 1)² + 2 + 8 − 2 √(2 · 8)
    18.0
    """
    if min(len(x), len(y)) < 2:
        raise ValueError(f"a variance needs two samples, and {len(x)} and {len(y)} are given")
    (mean_x, root_x), (mean_y, root_y) = _parts(x), _parts(y)
    shared = torch.linalg.svdvals(root_x @ root_y.T).sum()
    return float((mean_x - mean_y).square().sum() + root_x.square().sum() + root_y.square().sum() - 2 * shared)


def frechet_of_gaussians(mean_x: Tensor, cov_x: Tensor, mean_y: Tensor, cov_y: Tensor) -> float:
    """Return the same of means (D,) and covariances (D, D) that are known: a symmetric root by eigenvalues.

    Examples
    --------
    >>> zero = torch.zeros(2)
    >>> round(frechet_of_gaussians(zero, torch.eye(2), zero, torch.diag(torch.tensor([4.0, 9.0]))), 6)
    5.0
    """
    values, vectors = torch.linalg.eigh(cov_x.double())
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    shared = torch.linalg.eigvalsh(root @ cov_y.double() @ root).clamp(min=0).sqrt().sum()
    apart = (mean_x.double() - mean_y.double()).square().sum()
    return float(apart + cov_x.double().trace() + cov_y.double().trace() - 2 * shared)


def interval(x: Tensor, y: Tensor, *, random: torch.Generator, share: float = 0.95) -> tuple[float, float]:
    """Return from where to where the distance of x (N, D) from a fixed y (M, D) lies, by a bootstrap over x.

    A sample drawn twice makes a resample poorer, and so its distance larger; the resamples' spread around their own
    mean is put around the distance itself.
    """
    resampled = _Resampled(x, y)
    rows = torch.randint(len(x), (RESAMPLES, len(x)), generator=random)
    found = torch.tensor([resampled(at) for at in rows], dtype=torch.float64)
    around = torch.quantile(found - found.mean(), torch.tensor([(1 - share) / 2, (1 + share) / 2], dtype=torch.float64))
    low, high = (frechet(x, y) + around).tolist()
    return low, high


class _Resampled:
    """The distance of some rows of x (N, D) from y (M, D), from products of rows alone: 100 times as fast.

    Of x without the mean of y, ``X Xᵀ`` holds the means' distance and the trace of x's covariance, and ``X S_y Xᵀ``,
    without the means of its rows and columns, the eigenvalues of ``S_x S_y``.
    """

    def __init__(self, x: Tensor, y: Tensor) -> None:
        mean, root = _parts(y)
        moved = x.double().cpu() - mean
        self.products, through = moved @ moved.T, moved @ root.T
        self.spread = through @ through.T
        self.trace = root.square().sum()

    def __call__(self, rows: Tensor) -> float:
        n, products, spread = len(rows), self.products[rows][:, rows], self.spread[rows][:, rows]
        apart = products.mean()
        own = (products.diagonal().sum() - n * apart) / (n - 1)
        centred = spread - spread.mean(0) - spread.mean(1)[:, None] + spread.mean()
        shared = torch.linalg.eigvalsh(centred / (n - 1)).clamp(min=0).sqrt().sum()
        return float(apart + own + self.trace - 2 * shared)


def real_against_real(
    vectors: Tensor, sizes: Sequence[int], *, random: torch.Generator, times: int = 10
) -> dict[int, float]:
    """Return size n → the mean distance between two sets of n vectors each that are drawn from (N, D), none twice.

    Nothing but the number of samples sets them apart: this is the bias, below which no distance of n samples says
    anything.

    Raises
    ------
    ValueError
        There are fewer than 2 n vectors.
    """
    found: dict[int, float] = {}
    for n in sizes:
        if 2 * n > len(vectors):
            raise ValueError(f"two sets of {n} need {2 * n} vectors, and {len(vectors)} are given")
        drawn = [torch.randperm(len(vectors), generator=random) for _ in range(times)]
        found[n] = fmean(frechet(vectors[at[:n]], vectors[at[n : 2 * n]]) for at in drawn)
    return found


def _parts(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean (D,), and A (R, D) with R at most D such that ``Aᵀ A`` is the covariance."""
    wide = x.double().cpu()
    mean = wide.mean(0)
    root = (wide - mean) / (len(wide) - 1) ** 0.5
    return mean, root if len(root) <= root.shape[1] else torch.linalg.qr(root, mode="r").R
