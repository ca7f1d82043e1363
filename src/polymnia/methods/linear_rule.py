"""Linear rules over frozen features, solved from a Gram matrix: one rule for each set of modalities that is there."""

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

from polymnia.data.batch import Batch
from polymnia.methods.features import FeatureMethod, padded
from polymnia.models.base import Model
from polymnia.randomness import Randomness
from polymnia.state import Tree


class LinearRule(FeatureMethod):
    """Base of those that also gather the Gram matrix of the features, and solve for a linear rule from it.

    A rule over all columns is wrong for a sample that lacks a modality: zeros are a value like any other, and the
    rule leans on what the modalities say together. So a sample is scored by the rule of those that it has, solved
    from their columns of the same statistics when it is first needed. Statistics do not grow by that.
    """

    state = (*FeatureMethod.state, "gram")

    def __init__(self, model: Model, settings: Any = None, *, randomness: Randomness | None = None) -> None:
        super().__init__(model, settings, randomness=randomness)
        self.gram = torch.zeros(0, 0, dtype=torch.float64)  # (D, D): Σ over samples of z zᵀ
        self._rules: dict[tuple[bool, ...], tuple[Tensor, Tensor, Tensor]] = {}

    def grow(self, classes: int) -> None:
        """Make room in the Gram matrix too."""
        super().grow(classes)
        self.gram = padded(self.gram, self.width, self.width).to(self.device)
        self._rules.clear()

    def observe(self, batch: Batch, features: Tensor) -> None:
        """Add to the sums and to the Gram matrix."""
        super().observe(batch, features)
        exact = features.double()
        self.gram.addmm_(exact.T, exact)
        self._rules.clear()

    def scores(self, batch: Batch, features: Tensor) -> Tensor:
        """Return W z + b, each sample by the rule of the modalities that it has."""
        scores = features.new_zeros(len(batch), len(self.counts))
        if not self.slots or not len(batch):
            return scores
        kinds, kind = torch.stack([batch.has(m) for m in self.in_order()], 1).unique(dim=0, return_inverse=True)
        for number, pattern in enumerate(kinds.tolist()):
            if any(pattern):
                columns, weight, bias = self.rule(tuple(pattern))
                rows = kind == number
                scores[rows] = linear(features[rows][:, columns], weight, bias)
        return scores

    def rule(self, pattern: tuple[bool, ...]) -> tuple[Tensor, Tensor, Tensor]:
        """Return the columns (D',), W (K, D') and b (K,) of samples that have these of the modalities, by slot."""
        if pattern not in self._rules:
            there = [self.slots[m] for m, has in zip(self.in_order(), pattern, strict=True) if has]
            columns = torch.cat([torch.arange(start, end, device=self.device) for start, end in there])
            weight, bias = self.solve(columns)
            self._rules[pattern] = columns, weight.float(), bias.float()
        return self._rules[pattern]

    @abstractmethod
    def solve(self, columns: Tensor) -> tuple[Tensor, Tensor]:
        """Return W (K, D') and b (K,) of the rule that sees these columns of the features."""

    def load_state_dict(self, state: dict[str, Tree]) -> None:
        """Put the statistics back; rules are solved from them again."""
        super().load_state_dict(state)
        self._rules.clear()
