"""`untied`: full weights of their own for tokens of each kind, as what they differ by from the frozen ones."""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from polymnia.data.stage import Outline
from polymnia.layers.deltas.base import PICTURE, TEXT, Asked, Delta, Part, register

Untying = Literal["both", "text", "picture"]
KINDS = {"text": TEXT, "picture": PICTURE}


@register("untied")
class Untied(Delta):
    """``D_kind x`` with D (outputs, inputs) of full rank, 0 when new: a token's layer has the weights W + D_kind.

    Attention still runs over the whole sequence, so with places such as ``[q_proj, k_proj, v_proj, o_proj, gate_proj,
    up_proj, down_proj]`` the host becomes a mixture of transformers, but for its norms, which stay tied.

    There a model is trained from scratch; here it begins as copies of the host's frozen weights. It is as large as the
    layers themselves, once for each kind that is untied: the upper end of what parting by kind can learn.

    Source: Liang et al. 2024 (Mixture-of-Transformers).
    """

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """Which tokens get weights of their own; the other kind's are the host's."""

        kinds: Untying = "both"

    settings: Settings
    unfoldable = "tokens of each kind have weights of their own"

    def __init__(self, inputs: int, outputs: int, settings: Any = None, *, asked: Asked | None = None) -> None:
        super().__init__(inputs, outputs, settings, asked=asked)
        untied = KINDS if self.settings.kinds == "both" else (self.settings.kinds,)
        self.weights = nn.ParameterDict({kind: torch.zeros(outputs, inputs) for kind in untied})

    def grow(self, stage: Outline) -> None:
        """Go on with the same weights."""

    def parts(self) -> dict[str, Part]:
        """Return the kind that each weight is of."""
        return {f"weights.{kind}": "text" if kind == "text" else "picture" for kind in self.weights}

    def forward(self, given: Tensor) -> Tensor:
        """Return what is added, (B, T, outputs); each token is multiplied once, by its own kind's weights."""
        kinds, rows = self.asked.kinds_of(given).flatten(), given.flatten(0, 1)
        added = given.new_zeros(len(rows), self.outputs)
        for kind, weight in self.weights.items():
            at = (kinds == KINDS[kind]).nonzero()[:, 0]  # none: it still gets a gradient, for processes average theirs
            added = added.index_add(0, at, (rows[at] @ weight.T).to(added.dtype))
        return added.unflatten(0, given.shape[:2])
