"""Distillation of tokens inside a model: pooled, flat, or weighted by channel; one value a row."""

import torch
from torch import Tensor
from torch.nn.functional import normalize


def pooled(student: Tensor, teacher: Tensor, *, valid: Tensor | None = None) -> Tensor:
    """Return how far tokens moved, seen along each axis alone: what is pooled over an axis may change along it.

    With squared tokens, pooled over tokens (leaving d numbers) and pooled over width (leaving T), each scaled to
    length 1: the sum of the two squared distances.

    Parameters
    ----------
    student, teacher : Tensor
        (B, T, d); no gradient reaches the teacher.
    valid : Tensor, optional
        (B, T) bool: which tokens count.

    Returns
    -------
    Tensor
        (B,).

    Source: Douillard et al. 2020 (PODNet), section 3.1, POD-spatial, adapted: a convolution's maps (channels, height,
    width) are pooled there over height and over width; tokens have one axis of places, so the two left are places
    and channels. Squaring before pooling is in the authors' code; tokens behind a normalisation would else sum to
    about 0 over the width.

    Examples
    --------
    >>> one, other = torch.tensor([[[3.0, 0.0]]]), torch.tensor([[[0.0, 7.0]]])
    >>> pooled(one, other).tolist(), pooled(one, 2 * one).tolist()
    ([2.0], [0.0])
    """
    given, wanted = _masked(student.float(), valid).square(), _masked(teacher.detach().float(), valid).square()
    return flat(given.sum(1), wanted.sum(1)) + flat(given.sum(2), wanted.sum(2))


def flat(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the squared distance between vectors scaled to length 1.

    Parameters
    ----------
    student, teacher : Tensor
        (B, D); no gradient reaches the teacher.

    Returns
    -------
    Tensor
        (B,): 2 − 2 cosine.

    Source: Douillard et al. 2020 (PODNet), section 3.1, POD-flat.

    Examples
    --------
    >>> flat(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 5.0]])).tolist()
    [2.0]
    """
    return (normalize(student.float(), dim=1) - normalize(teacher.detach().float(), dim=1)).square().sum(1)


def weighted(student: Tensor, teacher: Tensor, importance: Tensor, *, valid: Tensor | None = None) -> Tensor:
    """Return Σ over channels of importance times the squared distance of the channel's tokens.

    Both maps (T, d) of a sample are scaled by the length of the teacher's, so that blocks of any size of activation
    count alike.

    Parameters
    ----------
    student, teacher : Tensor
        (B, T, d); no gradient reaches the teacher.
    importance : Tensor
        (d,), of mean 1.
    valid : Tensor, optional
        (B, T) bool: which tokens count.

    Returns
    -------
    Tensor
        (B,).

    Source: Kang et al. 2022 (AFC), the discrepancy loss of section 3, adapted: the authors' code scales each channel's
    map by itself, which would leave nothing of a map of one token.

    Examples
    --------
    >>> old, new = torch.tensor([[[2.0, 0.0]]]), torch.tensor([[[2.0, 1.0]]])
    >>> weighted(new, old, torch.tensor([0.5, 1.5])).tolist()  # 1.5 · 1² / 2²
    [0.375]
    """
    given, wanted = _masked(student.float(), valid), _masked(teacher.detach().float(), valid)
    size = wanted.square().sum((1, 2))
    return ((given - wanted).square().sum(1) @ importance) / torch.where(size > 0, size, 1.0)


def _masked(tokens: Tensor, valid: Tensor | None) -> Tensor:
    return tokens if valid is None else torch.where(valid[:, :, None], tokens, 0.0)
