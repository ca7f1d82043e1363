"""An objective: what pulls the sequences of paired modalities together, with weights of its own where it needs any."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from polymnia.layers.objectives.contrast import hits, missed
from polymnia.registry import NoSettings, Registry

Sequences = Mapping[str, Tensor]
"""Modality → (B, N, D)."""


class Objective(nn.Module, ABC):
    """Base of all objectives; most compare two modalities at a time and implement `compared` alone."""

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
        if len(a) < 2:
            return (a.sum() + b.sum()) * 0.0
        return torch.stack([missed(scores) for scores in self.compared(one, a, other, b)]).mean()

    @abstractmethod
    def compared(self, one: str, a: Tensor, other: str, b: Tensor) -> list[Tensor]:
        """Return scores (…, B, B) of rows against candidates, a tensor for each way; the diagonal belongs together."""

    @torch.no_grad()
    def accuracy(self, one: str, a: Tensor, other: str, b: Tensor) -> Tensor:
        """Return how often a row's own candidate has the highest score of the batch, a scalar; chance is 1 / B.

        Parameters as in `between`; ties count as misses.
        """
        return torch.stack([hits(scores) for scores in self.compared(one, a, other, b)]).mean()

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
            return nothing(sequences, present)
        shares = torch.stack(rows).to(terms[0].dtype)
        return (torch.stack(terms) * shares).sum() / shares.sum()


def nothing(sequences: Sequences, present: Mapping[str, Tensor]) -> Tensor:
    """Return zero, with a gradient of zero wherever a row has a modality: absent rows may hold anything, even NaN."""
    there = [values[present[m]].sum() for m, values in sorted(sequences.items())]
    return torch.stack(there).sum() * 0.0 if there else torch.zeros(())


OBJECTIVES: Registry[type[Objective]] = Registry("objective", "polymnia.layers.objectives")
register = OBJECTIVES.register
