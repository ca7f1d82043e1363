"""An objective: what pulls the sequences of paired modalities together, with weights of its own where it needs any."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from polymnia.registry import NoSettings, Registry

Sequences = Mapping[str, Tensor]
"""Modality → (B, N, D)."""


class Objective(nn.Module):
    """Base of all objectives; most compare two modalities at a time and implement `between` alone."""

    name: ClassVar[str]
    Settings: type[Any] = NoSettings

    def __init__(self, width: int, steps: int, settings: Any = None) -> None:
        super().__init__()
        self.width, self.steps = width, steps
        self.settings = self.Settings() if settings is None else settings

    def grow(self, modalities: Sequence[str]) -> None:
        """Add the weights of new modalities."""

    def between(self, one: str, a: Tensor, other: str, b: Tensor) -> Tensor:
        """Return a scalar for the sequences (B, N, D) of two modalities whose rows and steps belong together.

        The other rows of the batch are the negatives. Zero, with a gradient of zero, for fewer than two rows.
        """
        raise NotImplementedError

    def forward(self, sequences: Sequences, present: Mapping[str, Tensor]) -> Tensor:
        """Return the mean over pairs of modalities, weighted by the rows that have both.

        Parameters
        ----------
        sequences : Mapping
            Modality → (B, N, D).
        present : Mapping
            Modality → (B,) bool.
        """
        terms: list[Tensor] = []
        rows: list[Tensor] = []
        for one, other in combinations(sorted(sequences), 2):
            both = present[one] & present[other]
            if bool(both.any()):
                terms.append(self.between(one, sequences[one][both], other, sequences[other][both]))
                rows.append(both.sum())
        if not terms:
            return next(iter(sequences.values())).sum() * 0.0
        shares = torch.stack(rows).to(terms[0].dtype)
        return (torch.stack(terms) * shares).sum() / shares.sum()


OBJECTIVES: Registry[type[Objective]] = Registry("objective", "polymnia.layers.objectives")
register = OBJECTIVES.register
