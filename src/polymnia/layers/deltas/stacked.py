"""`stacked`: one low-rank map a stage, the earlier ones frozen, all of them added."""

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from polymnia.data.stage import Outline
from polymnia.layers.deltas.base import Asked, Delta, register
from polymnia.layers.deltas.lora import LoRA, LowRank

Form = Literal["absolute", "squares"]


@register("stacked")
class Stacked(Delta):
    """A low-rank map for each stage; only the newest is trained, and the sum of all is added.

    A stage's map begins as nothing, so that what was learned before is served as it was until a step is made.

    Source: Wang et al. 2023 (O-LoRA), section 3.2; the penalty on `overlap` is the method's affair.
    """

    Settings = LoRA.Settings  # of each stage's map; O-LoRA's released code has rank 8, alpha 32, dropout 0.1
    settings: LoRA.Settings

    def __init__(self, inputs: int, outputs: int, settings: Any = None, *, asked: Asked | None = None) -> None:
        super().__init__(inputs, outputs, settings, asked=asked)
        self.maps = nn.ModuleList()

    def grow(self, stage: Outline) -> None:
        """Freeze the maps that are there and add one."""
        s = self.settings
        self.maps.requires_grad_(False)
        self.maps.append(LowRank(self.inputs, self.outputs, rank=s.rank, alpha=s.alpha))

    def forward(self, given: Tensor) -> Tensor:
        """Return what is added, (B, T, outputs)."""
        down = torch.cat([low_rank.down for low_rank in self.low_ranks])  # all maps side by side are one
        up = torch.cat([low_rank.scale * low_rank.up for low_rank in self.low_ranks], 1)
        return (dropout(given, self.settings.dropout, self.training) @ down.T) @ up.T

    def folded(self) -> Tensor:
        """Return (outputs, inputs), the matrix that all maps together are."""
        return torch.stack([low_rank.folded() for low_rank in self.low_ranks]).sum(0)

    @property
    def low_ranks(self) -> list[LowRank]:
        """The maps, in the order of their stages."""
        return list(self.maps)  # ty: ignore[invalid-explicit-return]

    def overlap(self, form: Form = "squares") -> Tensor:
        """Return how far the newest map's subspace is from orthogonal to the earlier ones', a scalar.

        ``Σ_i Σ_jk |(A_new A_iᵀ)_jk|²`` for "squares", as the paper writes it; without the square for "absolute", as the
        authors' code has it. 0 while there is one map.

        Source: Wang et al. 2023, eqs. 6 and 8.
        """
        *earlier, newest = self.low_ranks
        if not earlier:
            return newest.down.new_zeros(())
        products = newest.down @ torch.cat([low_rank.down for low_rank in earlier]).T
        return products.square().sum() if form == "squares" else products.abs().sum()
