"""`lora`: a low-rank map beside a frozen linear layer, one for all stages."""

from dataclasses import dataclass
from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from polymnia.data.stage import Outline
from polymnia.layers.deltas.base import Asked, Delta, register


class LowRank(nn.Module):
    """``(alpha / rank) · B A x``: A (rank, d) random, B (outputs, rank) zero, so that it begins as nothing.

    Source: Hu et al. 2021, section 4.1.
    """

    def __init__(self, inputs: int, outputs: int, *, rank: int, alpha: float) -> None:
        super().__init__()
        self.scale = alpha / rank
        self.down = nn.Parameter(torch.empty(rank, inputs).uniform_(-1 / sqrt(inputs), 1 / sqrt(inputs)))
        self.up = nn.Parameter(torch.zeros(outputs, rank))

    def forward(self, given: Tensor) -> Tensor:
        """Return (…, outputs) of (…, inputs)."""
        return (given @ self.down.T) @ (self.scale * self.up.T)

    def folded(self) -> Tensor:
        """Return (outputs, d), the matrix that it is."""
        return self.scale * self.up @ self.down


@register("lora")
class LoRA(Delta):
    """One low-rank map, trained at every stage and carried over.

    Source: Hu et al. 2021.
    """

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """How large. MoInCL's released code has rank 8, alpha 32, dropout 0.1."""

        rank: int = 8
        alpha: float = 32.0
        dropout: float = 0.0

    settings: Settings

    def __init__(self, inputs: int, outputs: int, settings: Any = None, *, asked: Asked | None = None) -> None:
        super().__init__(inputs, outputs, settings, asked=asked)
        self.low_rank = LowRank(inputs, outputs, rank=self.settings.rank, alpha=self.settings.alpha)

    def grow(self, stage: Outline) -> None:
        """Go on with the same map."""

    def forward(self, given: Tensor) -> Tensor:
        """Return what is added, (B, T, outputs)."""
        found: Tensor = self.low_rank(dropout(given, self.settings.dropout, self.training))
        return found

    def folded(self) -> Tensor:
        """Return (outputs, inputs), the matrix that it is."""
        return self.low_rank.folded()
