"""`token-gated`: a low-rank map beside a frozen linear layer that works on tokens of one kind alone."""

from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor
from torch.nn.functional import dropout

from polymnia.data.stage import Outline
from polymnia.layers.deltas.base import PICTURE, TEXT, Asked, Delta, Part, register
from polymnia.layers.deltas.lora import LowRank

Kind = Literal["text", "picture"]
KINDS: dict[Kind, int] = {"text": TEXT, "picture": PICTURE}


@register("token-gated")
class TokenGated(Delta):
    """``1[token is of the kind] · (alpha / rank) · B A x``: a sequence without such tokens passes as it did.

    There the map stands in each expert of a mixture that a dense language model was turned into, and works on what an
    expert gets of the new modality's tokens; the hosts here are dense, so it stands in the layer itself. Over a family
    that does not tell kinds all tokens are a text's.

    Source: "Exploiting mixture-of-experts redundancy unlocks multimodal generative abilities" 2025; seen in excerpts
    alone, so the place in an attention or a feed-forward layer, rank and alpha are our choice.
    """

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """For which tokens, and how large."""

        kind: Kind = "picture"
        """Which tokens are new to the host; there those of pictures."""
        rank: int = 8
        alpha: float = 16.0
        dropout: float = 0.0

    settings: Settings
    unfoldable = "it works on tokens of one kind alone"

    def __init__(self, inputs: int, outputs: int, settings: Any = None, *, asked: Asked | None = None) -> None:
        super().__init__(inputs, outputs, settings, asked=asked)
        self.low_rank = LowRank(inputs, outputs, rank=self.settings.rank, alpha=self.settings.alpha)

    def grow(self, stage: Outline) -> None:
        """Go on with the same map."""

    def parts(self) -> dict[str, Part]:
        """Return the kind that the map works on."""
        return {name: self.settings.kind for name, _ in self.named_parameters()}

    def forward(self, given: Tensor) -> Tensor:
        """Return what is added, (B, T, outputs), 0 for tokens of the other kind."""
        gate = (self.asked.kinds_of(given) == KINDS[self.settings.kind])[..., None]
        inside = dropout(given, self.settings.dropout, self.training) @ self.low_rank.down.T
        return inside.masked_fill(~gate, 0) @ (self.low_rank.scale * self.low_rank.up.T)
