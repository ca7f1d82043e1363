"""Preservation of relations: how samples stand to each other shall stay, wherever they move to."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import kl_div, log_softmax, normalize, smooth_l1_loss

Pair = tuple[Tensor, Tensor]
"""(rows, columns), both (B, D): what stands in relation to what. Twice the same for relations within one space."""

NEVER = -1e4
"""A logit whose share is 0; finite, so that a difference of two of them is a number."""


def divergence(
    student: Pair, teacher: Pair, *, temperature: float = 0.1, counts: Tensor | None = None, itself: bool = True
) -> Tensor:
    """Return the mean over rows of KL(teacher's ‖ student's distribution of similarity over the columns).

    ``R[i, :] = softmax_j(s(p_i, q_j) / T)`` with s the cosine; the loss is ``1/B Σ_i KL(R_teacher[i] ‖ R_student[i])``.
    It is 0, and has no gradient, where both agree.

    Parameters
    ----------
    student, teacher : Pair
        (p, q), both (B, D); D may differ between the two. No gradient reaches the teacher.
    temperature : float
        T.
    counts : Tensor, optional
        (B,) bool: which samples take part, as rows and as columns; None: all.
    itself : bool
        Whether a row's own column takes part. To be left out where p = q: that similarity is always 1.

    Returns
    -------
    Tensor
        A scalar; 0 when none counts.

    Source: Chee et al. 2025 say that relationships between learned representations are preserved; this form, modality
    to joint representation, is inferred. Distributions of similarity as in Tung and Mori 2019, section 3, whose
    distance is quadratic.

    Examples
    --------
    >>> p, q = torch.eye(3), torch.ones(3, 3) - torch.eye(3)
    >>> float(divergence((p, q), (p, q)))
    0.0
    """
    rows, columns = student
    n = len(rows)
    whole = torch.ones(n, dtype=torch.bool, device=rows.device) if counts is None else counts
    open_ = whole.expand(n, n) if itself else whole & ~torch.eye(n, dtype=torch.bool, device=rows.device)
    given = _shares(rows, columns, open_, temperature)
    wanted = _shares(teacher[0].detach(), teacher[1].detach(), open_, temperature)
    lost = kl_div(given, wanted, reduction="none", log_target=True).sum(1)
    return (lost * whole).sum() / whole.sum().clamp(min=1)


def distance(
    student: Pair, teacher: Pair, *, temperature: float = 0.1, counts: Tensor | None = None, itself: bool = True
) -> Tensor:
    """Return the smooth L1 between distances of rows to columns, each in units of their mean.

    ``ψ[i, j] = ‖p_i − q_j‖ / μ`` with μ the mean of the distances above 0; the loss is the mean over pairs of
    smooth-L1(ψ_student − ψ_teacher). Scale and rotation of the space do not matter.

    Parameters and result as in `divergence`; the temperature is not used.

    Source: Park et al. 2019 (relational knowledge distillation), section 3.2, the distance-wise loss, there within one
    space (p = q); here also between a modality and its view of the joint representation.

    Examples
    --------
    >>> p = torch.tensor([[0.0], [1.0], [3.0]])
    >>> float(distance((p, p), (10 * p, 10 * p)))  # only larger
    0.0
    """
    n = len(student[0])
    whole = torch.ones(n, dtype=torch.bool, device=student[0].device) if counts is None else counts
    among = whole[:, None] & whole
    if not itself:
        among = among & ~torch.eye(n, dtype=torch.bool, device=among.device)
    given = _in_means(*student, among)
    wanted = _in_means(teacher[0].detach(), teacher[1].detach(), among)
    lost = smooth_l1_loss(given, wanted, reduction="none")
    return (lost * among).sum() / among.sum().clamp(min=1)


RELATIONS: dict[str, Callable[..., Tensor]] = {"similarity": divergence, "joint": divergence, "distance": distance}
"""The forms, by name; "joint" is `divergence` within the joint representation alone, without the rows' own columns."""


def _shares(rows: Tensor, columns: Tensor, among: Tensor, temperature: float) -> Tensor:
    """Return (B, B): log softmax over the columns of cosine over temperature; `NEVER` where a column takes no part."""
    similar = normalize(rows.float(), dim=1) @ normalize(columns.float(), dim=1).T / temperature
    return log_softmax(similar.masked_fill(~among, NEVER), 1)


def _in_means(rows: Tensor, columns: Tensor, among: Tensor) -> Tensor:
    """Return (B, B): distances over the mean of those that are above 0."""
    apart = torch.cdist(rows.float(), columns.float(), compute_mode="donot_use_mm_for_euclid_dist")
    counted = among & (apart > 0)
    mean = (apart * counted).sum() / counted.sum().clamp(min=1)
    return apart / torch.where(mean > 0, mean, 1.0)
