"""`mixture`: low-rank experts beside a frozen linear layer, and a router that weighs them for each token."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from polymnia.data.stage import Outline
from polymnia.errors import SettingsError
from polymnia.layers.deltas.base import Asked, Delta, register
from polymnia.layers.deltas.lora import LowRank


@register("mixture")
class Mixture(Delta):
    """``(alpha / rank) · Σ_e w_e(x) B_e A_e x`` with w = softmax(W x): the same experts and router at every stage.

    The experts share the rank between them, so that a mixture is as large as one map of the same rank, but for the
    router. With `active`, only so many experts work on a token, and the softmax is over their logits alone.

    Source: Chen et al. 2024 (CoIN), its MoELoRA: dense, a softmax over experts. Its released code applies
    another softmax before, over the tokens of a text; that is left out, for then padding and the answer's later tokens
    would change the weights. `active` as in Shazeer et al. 2017, eqs. 3 and 5.
    """

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """How many experts, and how large all of them are together. CoIN's code has 4, its scripts 8 of rank 16."""

        experts: int = 4
        rank: int = 8
        """Of all experts together."""
        alpha: float = 32.0
        active: int | None = None
        """Experts that work on a token; none: all."""
        dropout: float = 0.0

        def __post_init__(self) -> None:
            if self.experts < 1 or self.rank < 1 or self.rank % self.experts:
                raise SettingsError(
                    f"delta.rank: {self.rank} is given for {self.experts} experts, who share it evenly: "
                    "take a multiple of their number"
                )
            if self.active is not None and not 1 <= self.active <= self.experts:
                raise SettingsError(f"delta.active: {self.active} is given; accepted: 1 to {self.experts}, or null")

    settings: Settings
    unfoldable = "its router weighs the experts anew for each token"

    def __init__(self, inputs: int, outputs: int, settings: Any = None, *, asked: Asked | None = None) -> None:
        super().__init__(inputs, outputs, settings, asked=asked)
        s = self.settings
        self.experts = nn.ModuleList(
            LowRank(inputs, outputs, rank=s.rank // s.experts, alpha=s.alpha / s.experts) for _ in range(s.experts)
        )
        self.router = nn.Linear(inputs, s.experts, bias=False)

    def grow(self, stage: Outline) -> None:
        """Go on with the same experts."""

    def forward(self, given: Tensor) -> Tensor:
        """Return what is added, (B, T, outputs)."""
        given = dropout(given, self.settings.dropout, self.training)
        experts: list[LowRank] = list(self.experts)  # ty: ignore[invalid-assignment]
        inside = given @ torch.cat([expert.down for expert in experts]).T  # (B, T, rank)
        weighted = inside.unflatten(-1, (len(experts), -1)) * self.weights(given)[..., None]
        return weighted.flatten(-2) @ torch.cat([expert.scale * expert.up for expert in experts], 1).T

    def weights(self, given: Tensor) -> Tensor:
        """Return how much each expert counts for each token, (B, T, E), which sums to 1."""
        logits: Tensor = self.router(given)
        if self.settings.active is None:
            return logits.softmax(-1)
        top, chosen = logits.topk(self.settings.active, -1)
        return torch.zeros_like(logits).scatter(-1, chosen, top.softmax(-1))
