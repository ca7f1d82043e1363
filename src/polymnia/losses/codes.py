"""Losses on codes: vectors commit to their codes, and pairs are told apart by the codes that they use."""

from math import log

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, log_softmax, mse_loss

AT_CODE = 1e-6
"""Squared distance, in units of the codes' variance, below which a vector is at its code: rounding has the last word
there, and no gradient comes from it."""


def commitment(own: Tensor, own_codes: Tensor, other_codes: Tensor | None = None, *, weight: float = 0.25) -> Tensor:
    """Return ``β ‖z − sg e‖² + β/2 ‖z − sg e'‖²``: to the own code, and half as much to the other modality's.

    Parameters
    ----------
    own : Tensor
        z (…, D).
    own_codes, other_codes : Tensor
        e and e' (…, D), the codes of the same rows and steps in both modalities; no gradient reaches them. Without
        `other_codes` the second term is left out.
    weight : float
        β.

    Returns
    -------
    Tensor
        A scalar; 0 for no rows.

    Source: Xia et al. 2023, eq. 8; the mean over rows, steps and dimensions is the authors' code's, which has 2 β. In
    the specification of COMET the second term is off.

    Examples
    --------
    >>> z, e = torch.tensor([[1.0, 0.0]]), torch.zeros(1, 2)
    >>> float(commitment(z, e)), float(commitment(z, e, e))
    (0.125, 0.1875)
    """
    if not own.numel():
        return own.sum() * 0.0
    own = _wide(own)
    loss = weight * mse_loss(own, own_codes.detach().to(own.dtype))
    if other_codes is not None:
        loss = loss + weight / 2 * mse_loss(own, other_codes.detach().to(own.dtype))
    return loss


def code_shares(sequence: Tensor, codes: Tensor) -> Tensor:
    """Return how much a sequence is of each code: ``p_l = mean over steps of softmax_l(−‖z_t − e_l‖)``.

    Parameters
    ----------
    sequence : Tensor
        (B, N, D).
    codes : Tensor
        (L, D); no gradient reaches them.

    Returns
    -------
    Tensor
        (B, L), rows sum to 1; in float32 at least.

    Source: Liu et al. 2021 (cross-modal code matching), in the form of Xia et al. 2023's code.

    Examples
    --------
    >>> code_shares(torch.tensor([[[0.0], [4.0]]]), torch.tensor([[0.0], [4.0]])).tolist()
    [[0.5, 0.5]]
    """
    return _log_shares(sequence, codes).exp()


def matching(one: Tensor, other: Tensor, codes: Tensor) -> Tensor:
    """Return ``mean_i −log softmax_j(S)_ii`` with ``S_ij = Σ_l p_il log q_jl + Σ_l q_jl log p_il``.

    p and q are the code shares of the two sequences: rows that belong together shall use the same codes, others not.

    Parameters
    ----------
    one, other : Tensor
        (B, N, D); rows belong together. N may differ.
    codes : Tensor
        (L, D); no gradient reaches them.

    Returns
    -------
    Tensor
        A scalar, without a weight (the source has 0.5); 0, with a gradient of 0, for fewer than two rows.

    Source: Liu et al. 2021 (cross-modal code matching), in the form of Xia et al. 2023's code.

    Examples
    --------
    >>> codes = torch.tensor([[0.0], [40.0]])
    >>> pairs = codes[:, None]
    >>> round(float(matching(pairs, pairs, codes)), 4), float(matching(pairs, pairs.flip(0), codes)) > 9
    (0.0, True)
    """
    if len(one) < 2:
        return (one.sum() + other.sum()) * 0.0
    p, q = _log_shares(one, codes), _log_shares(other, codes)
    with torch.autocast(p.device.type, enabled=False):
        similar = p.exp() @ q.T + p @ q.exp().T
    return cross_entropy(similar, torch.arange(len(one), device=one.device))


def _log_shares(sequence: Tensor, codes: Tensor) -> Tensor:
    """Return (B, L), the log of the shares; taken before any of them can round to 0."""
    near = log_softmax(-_distances(_wide(sequence), codes), -1)
    return near.logsumexp(1) - log(sequence.shape[1])


def _distances(sequence: Tensor, codes: Tensor) -> Tensor:
    """Return (B, N, L) Euclidean distances, with a finite gradient everywhere."""
    codes = codes.detach().to(sequence.dtype)
    middle = codes.mean(0)  # around 0 the lengths are small, and with them what their difference loses
    codes, sequence = codes - middle, sequence - middle
    with torch.autocast(sequence.device.type, enabled=False):
        lengths = codes.square().sum(1)
        squares = sequence.square().sum(2, keepdim=True) + lengths - 2 * sequence @ codes.T
    away = squares > AT_CODE * lengths.mean()
    at = squares.detach().clamp(min=0).sqrt()
    return torch.where(away, torch.where(away, squares, 1.0).sqrt(), at)


def _wide(tensor: Tensor) -> Tensor:
    """Return the tensor in float32, or in float64 where it is."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()
