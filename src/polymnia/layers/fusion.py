"""Fusions: from one representation per modality to a joint one; any non-empty subset of modalities may be there."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from polymnia.registry import Registry


class Fusion(nn.Module, ABC):
    """Fuses (B, M, D) into (B, D); `modalities` are sorted, and a missing one has no influence."""

    def grow(self, modalities: Sequence[str], width: int) -> None:
        """Make room for modalities that were not there before."""

    @abstractmethod
    def forward(self, stacked: Tensor, present: Tensor, modalities: Sequence[str]) -> Tensor:
        """Return (B, D) from representations (B, M, D) and presence (B, M) bool."""


FUSIONS: Registry[type[Fusion]] = Registry("fusion", "polymnia.layers")
register = FUSIONS.register


@register("mean")
class MeanFusion(Fusion):
    """The mean over the modalities that are there."""

    def forward(self, stacked: Tensor, present: Tensor, modalities: Sequence[str]) -> Tensor:
        """Return (B, D)."""
        weights = present.to(stacked.dtype)
        return torch.einsum("bmd,bm->bd", stacked, weights) / weights.sum(1, keepdim=True).clamp(min=1)


@register("concat")
class ConcatFusion(Fusion):
    """A linear map of the concatenation, written as one map per modality so that it can grow; missing ones add 0."""

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.ModuleDict()

    def grow(self, modalities: Sequence[str], width: int) -> None:
        """Add a map for each new modality."""
        for modality in modalities:
            if modality not in self.maps:
                self.maps[modality] = nn.Linear(width, width)

    def forward(self, stacked: Tensor, present: Tensor, modalities: Sequence[str]) -> Tensor:
        """Return (B, D)."""
        mapped = torch.stack([self.maps[m](stacked[:, i]) for i, m in enumerate(modalities)], 1)
        return torch.einsum("bmd,bm->bd", mapped, present.to(mapped.dtype))


@register("attention")
class AttentionFusion(Fusion):
    """Attention pooling: a learned query weighs the modalities that are there."""

    def __init__(self) -> None:
        super().__init__()
        self.query: nn.Parameter | None = None

    def grow(self, modalities: Sequence[str], width: int) -> None:
        """Make the query and the maps at the first stage; they serve every later modality too."""
        if self.query is None:
            self.query = nn.Parameter(torch.zeros(width))  # zero: the mean at start
            self.key, self.value = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, stacked: Tensor, present: Tensor, modalities: Sequence[str]) -> Tensor:
        """Return (B, D)."""
        scores = self.key(stacked) @ self.query / stacked.shape[-1] ** 0.5  # (B, M)
        weights = scores.masked_fill(~present, float("-inf")).softmax(1)
        weights = torch.where(present, weights, 0.0)  # a row without any modality stays finite
        return torch.einsum("bmd,bm->bd", self.value(stacked), weights)
