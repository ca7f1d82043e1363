"""What contrastive objectives share: unit vectors of steps or clips, scores, and what is lost and hit by them."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize

from polymnia.errors import SettingsError

Level = Literal["step", "clip"]
"""Whether steps are compared with the same step of other rows, or means over steps with those of other rows."""


def units(sequences: Tensor, level: Level) -> Tensor:
    """Return sequences (B, N, D) as unit vectors: (N, B, D) for steps, (1, B, D) for clips."""
    if level not in ("step", "clip"):
        raise SettingsError(f"objective.level: {level!r} is given; 'step' or 'clip' is accepted")
    vectors = sequences.transpose(0, 1) if level == "step" else sequences.mean(1)[None]
    return normalize(vectors, dim=-1)


def products(rows: Tensor, candidates: Tensor) -> Tensor:
    """Return dot products (…, B, B) of rows (…, B, D) with candidates (…, B, D)."""
    return rows @ candidates.mT


def missed(scores: Tensor) -> Tensor:
    """Return the mean of −log softmax over a row of scores (…, B, B), at its own candidate: the diagonal.

    Source: van den Oord et al. 2018 ("Representation learning with contrastive predictive coding"), eq. 4.

    Examples
    --------
    >>> round(float(missed(torch.eye(2))), 4)  # ln(1 + 1/e)
    0.3133
    """
    return (scores.logsumexp(-1) - scores.diagonal(dim1=-2, dim2=-1)).mean()


def hits(scores: Tensor) -> Tensor:
    """Return the share of rows of scores (…, B, B) whose own candidate is above all others; ties are misses.

    Examples
    --------
    >>> float(hits(torch.tensor([[2.0, 1.0], [3.0, 3.0]])))
    0.5
    """
    itself = torch.eye(scores.shape[-1], dtype=torch.bool, device=scores.device)
    best = scores.masked_fill(itself, float("-inf")).amax(-1)
    return (scores.diagonal(dim1=-2, dim2=-1) > best).to(scores.dtype).mean()


def above(name: str, value: float, bound: float, *, equal: bool = False) -> None:
    """Raise SettingsError if a setting of an objective is not above a bound, or equal to it where that is accepted."""
    if not (value > bound or (equal and value == bound)):
        accepted = f"{'at least' if equal else 'above'} {bound}"
        raise SettingsError(f"objective.{name}: {value} is given; {accepted} is accepted")
