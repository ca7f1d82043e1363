"""`symile`: all modalities of a row at once, by the sum of their products."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from polymnia.errors import SettingsError
from polymnia.layers.objectives.base import Objective, Sequences, nothing, register
from polymnia.layers.objectives.contrast import Level, above, missed, products, units

MOST = 2**20
"""Combinations of rows that `negatives: all` compares at most."""


@register("symile")
class Symile(Objective):
    """Contrast of all n modalities that a row has, by their multilinear inner product ``Σ_d Π_m z_{m,d}``.

    Each modality in turn is set against the others: unit vectors, ``score = s · D^{(n−2)/2} · Σ_d Π_m z_{m,d}``, −log
    softmax among the negatives, and the mean over modalities. The scale s is learned (at most 100) and starts at
    1 / temperature. With two modalities it is InfoNCE by dot products of unit vectors, both ways. Rows are grouped by
    which modalities they have; negatives come from the own group, and a row alone in its group does not count.

    Source: Saporta et al. 2024 ("Contrasting with Symile", NeurIPS), of which we have the abstract and the description
    of the public package: unit vectors, a learned scale, and negatives in O(B) or O(B²) for three modalities. Chosen
    here: ``D^{(n−2)/2}``, without which products of n unit vectors vanish as D grows (with it one temperature serves
    every n); negatives that need no draw; groups instead of a stand-in for what is missing; the first scale.
    """

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """How sharp at first, what is compared, and with which negatives."""

        temperature: float = 0.1
        level: Level = "step"
        """Each step, or the mean over steps."""
        negatives: Literal["one", "all"] = "one"
        """One modality is swapped with that of every other row; or all combinations of rows of all but one, as in the
        paper's O(B²) form: B^{n−1} of them."""

        def __post_init__(self) -> None:
            above("temperature", self.temperature, 0)
            if self.negatives not in ("one", "all"):
                raise SettingsError(f"objective.negatives: {self.negatives!r} is given; 'one' or 'all' is accepted")

    settings: Settings

    def __init__(self, width: int, steps: int, settings: Settings | None = None) -> None:
        super().__init__(width, steps, settings)
        self.log_scale = nn.Parameter(torch.tensor(-math.log(self.settings.temperature)))

    def forward(self, sequences: Sequences, present: Mapping[str, Tensor]) -> Tensor:
        """Return the mean over groups of rows that have the same modalities, weighted by their rows.

        Parameters
        ----------
        sequences : Mapping
            Modality → (B, N, D).
        present : Mapping
            Modality → (B,) bool.

        Raises
        ------
        SettingsError
            `negatives: all` would compare too many combinations.
        """
        names = sorted(sequences)
        terms: list[tuple[int, Tensor]] = []
        for group, rows in _groups(names, present):
            if len(group) > 1 and len(rows) > 1:
                vectors = [units(sequences[m][rows], self.settings.level) for m in group]
                terms.append((len(rows), self.together(vectors)))
        if not terms:
            return nothing(sequences, present)
        return torch.stack([rows * term for rows, term in terms]).sum() / sum(rows for rows, _ in terms)

    def together(self, vectors: list[Tensor]) -> Tensor:
        """Return the contrast of n ≥ 2 modalities of the same rows, each (N, B, D) of unit vectors: a scalar."""
        scale = self._scale(len(vectors))
        lost = self._one if self.settings.negatives == "one" else self._all
        others = [[v for i, v in enumerate(vectors) if i != m] for m in range(len(vectors))]
        return torch.stack([lost(own * scale, rest) for own, rest in zip(vectors, others, strict=True)]).mean()

    def compared(self, one: str, a: Tensor, other: str, b: Tensor) -> list[Tensor]:
        """Return the scores of two modalities, both ways, each (N, B, B)."""
        scores = products(units(a, self.settings.level), units(b, self.settings.level)) * self._scale(2)
        return [scores, scores.mT]

    def _scale(self, modalities: int) -> Tensor:
        return self.log_scale.clamp(max=math.log(100)).exp() * self.width ** ((modalities - 2) / 2)

    @staticmethod
    def _one(own: Tensor, others: list[Tensor]) -> Tensor:
        """Return what is lost when what the others say together looks for `own` (N, B, D) among the rows."""
        return missed(products(math.prod(others[1:], start=others[0]), own))

    @staticmethod
    def _all(own: Tensor, others: list[Tensor]) -> Tensor:
        """Return what is lost when `own` (N, B, D) looks for the others among all combinations of rows."""
        rows = own.shape[1]
        if rows ** len(others) > MOST:
            raise SettingsError(
                f"objective.negatives: 'all' is given; for {len(others) + 1} modalities and {rows} rows that is "
                f"{rows ** len(others):,} combinations, and at most {MOST:,} are accepted. 'one' works for any number."
            )
        joint = others[0]
        for vectors in others[1:]:
            joint = (joint[:, :, None] * vectors[:, None]).flatten(1, 2)  # (N, B^…, D), the last one's rows fastest
        scores = products(own, joint)  # (N, B, B^{n−1})
        itself = torch.arange(rows, device=own.device) * sum(rows**i for i in range(len(others)))
        found = scores[:, torch.arange(rows, device=own.device), itself]
        return (scores.logsumexp(-1) - found).mean()


def _groups(names: list[str], present: Mapping[str, Tensor]) -> list[tuple[list[str], Tensor]]:
    """Return the sets of modalities that occur, each with the indices of its rows."""
    if not names:
        return []
    patterns, which = torch.stack([present[m] for m in names], 1).unique(dim=0, return_inverse=True)
    return [
        ([m for m, there in zip(names, pattern, strict=True) if there], (which == i).nonzero().squeeze(1))
        for i, pattern in enumerate(patterns.tolist())
    ]
