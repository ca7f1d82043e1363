"""Alignment of each modality's representation with the joint one, or of modalities with each other."""

from collections.abc import Callable, Mapping
from itertools import permutations

import torch
from torch import Tensor
from torch.nn.functional import normalize

Views = Mapping[str, tuple[Tensor, Tensor]]
"""Modality → (p, q), both (B, D): its own representation, and its view of the joint one."""
Present = Mapping[str, Tensor]
"""Modality → (B,) bool: which samples have it; a modality that is not named is there in all."""


def aligned(
    views: Views, joint: Tensor, targets: Tensor, *, temperature: float = 0.1, present: Present | None = None
) -> Tensor:
    """Return the alignment of each modality with its own view of the joint representation.

    ``1/M Σ_m 1/B Σ_i −log [exp(s(p_i, q_i) / T) / Σ_{j ∈ N(i)} exp(s(p_i, q_j) / T)]`` with s the cosine and
    N(i) = {i} ∪ {j : y_j ≠ y_i}. It is 0 when all samples are of one class. Samples without a modality do not count
    for it, neither as rows nor as negatives; samples without a target (-1) are nobody's negatives.

    Parameters
    ----------
    views : Mapping
        Modality → (p, q), both (B, D).
    joint : Tensor
        (B, D); not used, so that all forms are called alike.
    targets : Tensor
        (B,) classes.
    temperature : float
        T.
    present : Mapping, optional
        Modality → (B,) bool.

    Returns
    -------
    Tensor
        A scalar.

    Source: Chee et al. 2025 say in words that each modality is aligned with the joint representation so that
    modality-specific information survives. The formula is inferred: with one joint vector for all (`shared`) the
    modalities end up on top of each other, with a view for each they stay apart.

    Examples
    --------
    >>> p = torch.eye(2)
    >>> round(float(aligned({"image": (p, p)}, p, torch.tensor([0, 1]), temperature=1.0)), 4)  # ln(1 + 1/e)
    0.3133
    >>> float(aligned({"image": (p, p)}, p, torch.tensor([3, 3])))
    0.0
    """
    apart, terms = _apart(targets), []
    for modality, (p, q) in views.items():
        counts = _counts(targets, present, modality)
        terms.append((contrast(p, q, negatives=apart, counts=counts, temperature=temperature), counts))
    return _mean(joint, terms)


def shared(
    views: Views, joint: Tensor, targets: Tensor, *, temperature: float = 0.1, present: Present | None = None
) -> Tensor:
    """Return `aligned` with the joint vector itself in the place of each modality's view of it: a rival.

    Parameters and result as in `aligned`; q is not used.

    Source: the nearest reading of Chee et al. 2025; it pulls all modalities to one point.
    """
    own = {m: (p, joint) for m, (p, _) in views.items()}
    return aligned(own, joint, targets, temperature=temperature, present=present)


def pairs(
    views: Views, joint: Tensor, targets: Tensor, *, temperature: float = 0.1, present: Present | None = None
) -> Tensor:
    """Return the mean over ordered pairs of modalities of InfoNCE between their representations: the standard rival.

    All other samples of the batch are negatives, of the same class or not. Samples without one of the two
    modalities do not count for the pair.

    Parameters and result as in `aligned`; only p and the number of rows of `targets` are used.

    Source: van den Oord et al. 2018, eq. 4; between modalities and both ways as in Radford et al. 2021, section 2.3.
    """
    every = torch.ones(len(targets), len(targets), dtype=torch.bool, device=targets.device)
    terms = []
    for one, other in permutations(views, 2):
        counts = _counts(targets, present, one) & _counts(targets, present, other)
        p, q = views[one][0], views[other][0]
        terms.append((contrast(p, q, negatives=every, counts=counts, temperature=temperature), counts))
    return _mean(joint, terms)


ALIGNMENTS: dict[str, Callable[..., Tensor]] = {"views": aligned, "shared": shared, "pairs": pairs}
"""The forms, by name."""


def contrast(rows: Tensor, columns: Tensor, *, negatives: Tensor, counts: Tensor, temperature: float) -> Tensor:
    """Return the mean over rows that count of −log softmax at the own column, among it and the row's negatives.

    Parameters
    ----------
    rows, columns : Tensor
        (B, D); they are compared by cosine.
    negatives : Tensor
        (B, B) bool: which columns may be negatives of a row.
    counts : Tensor
        (B,) bool: which samples take part at all.

    Returns
    -------
    Tensor
        A scalar; 0 when none counts.

    Examples
    --------
    >>> all_, eye = torch.ones(2, 2).bool(), torch.eye(2)
    >>> round(float(contrast(eye, eye, negatives=all_, counts=torch.ones(2).bool(), temperature=1.0)), 4)
    0.3133
    """
    similar = normalize(rows.float(), dim=1) @ normalize(columns.float(), dim=1).T / temperature
    itself = torch.eye(len(rows), dtype=torch.bool, device=rows.device)
    among = similar.masked_fill(~(negatives & counts | itself), float("-inf"))
    lost = among.logsumexp(1) - similar.diagonal()
    return (lost * counts).sum() / counts.sum().clamp(min=1)


def _apart(targets: Tensor) -> Tensor:
    """Return (B, B) bool: whether two samples are known to be of different classes."""
    known = targets >= 0
    return (targets[:, None] != targets) & known & known[:, None]


def _counts(targets: Tensor, present: Present | None, modality: str) -> Tensor:
    if present is not None and modality in present:
        return present[modality]
    return torch.ones_like(targets, dtype=torch.bool)


def _mean(like: Tensor, terms: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Return the mean of those terms that any sample counts for; 0 where there are none."""
    if not terms:
        return like.new_zeros(())
    there = torch.stack([counts.any() for _, counts in terms])
    return (torch.stack([term for term, _ in terms]) * there).sum() / there.sum().clamp(min=1)
