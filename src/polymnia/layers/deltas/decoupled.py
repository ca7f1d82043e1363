"""`decoupled`: a mixture of low-rank experts for tokens of texts, another low-rank map for those of pictures."""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, linear

from polymnia.data.stage import Outline
from polymnia.errors import SettingsError
from polymnia.layers.deltas.base import PICTURE, Asked, Delta, Part, register
from polymnia.layers.deltas.lora import LowRank

Image = Literal["lora", "none"]
By = Literal["kind", "position"]


@register("decoupled")
class Decoupled(Delta):
    """Decoupled experts: ``c Σ_j p_j(x) B_j A_j x`` for tokens of texts, ``c B_v A_v x`` for those of pictures.

    p = softmax(W x) over all text experts, c = alpha / rank, A and W begin at random, every B at 0. Nothing is shared
    by the two, so what a picture's tokens learn is no text expert's affair; where all tokens of a sequence count as a
    picture's (the model's `route_image: output`), text experts cannot change what is drawn, to the last bit.

    Each expert has the whole rank, other than in `mixture`. One pass serves all tokens: experts and picture's map stand
    in one stack, and what is not of a token's kind weighs exactly 0.

    Rivals: `image: none` has text experts alone; `by: position` parts tokens blindly, even places to the experts, odd
    ones to the other map, with the same parameters.

    Source: Wei et al. 2025 (MoDE) and its released code: the router has no bias and no noise, works in at least single
    precision, and sees what dropout has not touched. Parting by places is our own, as a control.
    """

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """How many experts, and how large each is. MoDE has 4 of rank 8, alpha 16; its code has dropout 0.05."""

        experts: int = 4
        """For texts."""
        rank: int = 8
        """Of each expert, and of the picture's map."""
        alpha: float = 16.0
        dropout: float = 0.05
        image: Image = "lora"
        """What is learned for tokens of pictures."""
        by: By = "kind"

        def __post_init__(self) -> None:
            for name in ("experts", "rank"):
                if getattr(self, name) < 1:
                    raise SettingsError(f"delta.{name}: {getattr(self, name)} is given; at least 1 is accepted")

    settings: Settings
    unfoldable = "which experts work on a token follows from its kind, and a router weighs them anew for each"

    def __init__(self, inputs: int, outputs: int, settings: Any = None, *, asked: Asked | None = None) -> None:
        super().__init__(inputs, outputs, settings, asked=asked)
        s = self.settings
        self.text = LowRank(inputs, outputs, rank=s.experts * s.rank, alpha=s.experts * s.alpha)
        self.router = nn.Linear(inputs, s.experts, bias=False)
        self.picture = LowRank(inputs, outputs, rank=s.rank, alpha=s.alpha) if s.image == "lora" else None

    def grow(self, stage: Outline) -> None:
        """Go on with the same experts."""

    def parts(self) -> dict[str, Part]:
        """Return whose each parameter is: experts and router are the texts'; parted by places, all are shared."""
        if self.settings.by == "position":
            return super().parts()
        return {name: "picture" if name.startswith("picture.") else "text" for name, _ in self.named_parameters()}

    def forward(self, given: Tensor) -> Tensor:
        """Return what is added, (B, T, outputs)."""
        held = [self.text] if self.picture is None else [self.text, self.picture]
        down = torch.cat([low_rank.down for low_rank in held])
        up = torch.cat([low_rank.up for low_rank in held], 1)
        inside = linear(dropout(given, self.settings.dropout, self.training), down)  # (B, T, (experts + 1) rank)
        shares = (self.text.scale * self.shares(given)).to(inside.dtype)
        return linear(inside * shares.repeat_interleave(self.settings.rank, -1), up)

    def shares(self, given: Tensor) -> Tensor:
        """Return how much each map counts for each token, (B, T, E + 1), that of pictures last, if there is one."""
        other = self.others(given)[..., None]
        weights = self.weights(given).masked_fill(other, 0)
        return weights if self.picture is None else torch.cat([weights, other.to(weights.dtype)], -1)

    def weights(self, given: Tensor) -> Tensor:
        """Return how much each expert would count for each token if it were a text's, (B, T, E), which sums to 1."""
        exact = torch.promote_types(given.dtype, torch.float32)
        with torch.autocast(given.device.type, enabled=False):
            return linear(given.to(exact), self.router.weight.to(exact)).softmax(-1)

    def others(self, given: Tensor) -> Tensor:
        """Return (B, T) bool: which tokens are not the text experts'."""
        if self.settings.by == "position":
            return self.asked.places_of(given) % 2 == 1
        return self.asked.kinds_of(given) == PICTURE
