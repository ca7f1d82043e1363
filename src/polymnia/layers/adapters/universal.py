"""`universal`: one small transformer for all modalities, frozen after the first stage, told by a token which it is."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from polymnia.data.batch import Batch
from polymnia.data.stage import Outline
from polymnia.errors import SettingsError
from polymnia.layers.adapters.base import Adapter, one_width, register
from polymnia.layers.adapters.cross import cleaned


@register("universal")
class Universal(Adapter):
    """``z = h + t_m + W UP(LayerNorm(h + t_m))``: UP is shared by all modalities, t_m is learned for each.

    UP and W are trained in the first stage. Later stages freeze them and every token that is there, and train the
    tokens of their new modalities alone (and what the family has for them: the paper's alignment layer is the
    family's projector). A stage without a new modality trains nothing here. A modality that comes later starts with
    what UP makes of it, not with zero. Tokens of a sequence see each other, those of other modalities never.

    Source: Faye et al. 2024, "OneEncoder", arXiv 2409.11059: universal projection with a residual connection around
    it, modality tokens, progressive alignment. The token is added, as in the models that its authors published; they
    also tried multiplication, concatenation and attention. Chosen here [X]: W and t_m are zero at start, so that it
    changes nothing then (there they are random, and UP ends in a layer normalisation); a token is a free vector (there
    it passes through a small network); UP's sizes.
    """

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """The size of the transformer."""

        layers: int = 1
        heads: int = 4
        hidden: int = 4
        """Width of the feed-forward part, in widths of a token."""
        dropout: float = 0.0

        def __post_init__(self) -> None:
            for name in ("layers", "heads", "hidden"):
                if getattr(self, name) < 1:
                    raise SettingsError(f"adapter.{name}: {getattr(self, name)} is given; at least 1 is accepted")
            if not 0 <= self.dropout < 1:
                raise SettingsError(f"adapter.dropout: {self.dropout} is given; accepted: from 0 to below 1")

    settings: Settings
    shared = True
    keeps = True

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(settings)
        self.width = 0
        self.tokens, self.projection = nn.ParameterDict(), nn.ModuleDict()

    def grow(self, stage: Outline, modalities: Sequence[str]) -> None:
        """Freeze what is there; add a token for each new modality, and in the first stage the projection."""
        s = self.settings
        self.width = one_width(self, stage, modalities, self.width)
        self.requires_grad_(False)
        if modalities and not self.projection:
            if self.width % s.heads:
                raise SettingsError(
                    f"adapter.heads: {s.heads} is given, and tokens are {self.width} wide: take a divisor of it"
                )
            self.projection["norm"] = nn.LayerNorm(self.width)
            self.projection["layers"] = nn.Sequential(
                *(Layer(self.width, heads=s.heads, hidden=s.hidden * self.width, dropout=s.dropout)
                  for _ in range(s.layers))
            )  # fmt: skip
            self.projection["out"] = nn.Linear(self.width, self.width)
            with torch.no_grad():
                for p in self.projection["out"].parameters():
                    p.zero_()
        for m in sorted(modalities):
            if m not in self.tokens:
                self.tokens[m] = nn.Parameter(torch.zeros(self.width))

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return modality → (B, T, D)."""
        added: dict[str, Tensor] = {}
        for m in batch.modalities:
            if m in self.tokens:
                h, valid = self.projection["norm"](cleaned(batch.values[m], batch, m) + self.tokens[m]), batch.valid
                for layer in self.projection["layers"].children():
                    h = layer(h, valid.get(m))
                added[m] = cleaned(self.tokens[m] + self.projection["out"](h), batch, m)
        return added


class Layer(nn.Module):
    """A transformer layer with normalisation behind its parts, as the paper's: (B, T, D) → (B, T, D)."""

    def __init__(self, width: int, *, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.into, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, valid: Tensor | None) -> Tensor:
        """Return (B, T, D); invalid tokens are seen by none."""
        tokens = self.first(tokens + self.dropout(self._attended(tokens, valid)))
        out: Tensor = self.second(tokens + self.dropout(self.narrow(self.dropout(gelu(self.wide(tokens))))))
        return out

    def _attended(self, tokens: Tensor, valid: Tensor | None) -> Tensor:
        split = self.into(tokens).unflatten(-1, (3, self.heads, -1)).movedim(-2, 1)  # (B, H, T, 3, D / H)
        queries, keys, values = split.unbind(-2)
        scores = queries @ keys.transpose(-1, -2) / queries.shape[-1] ** 0.5
        if valid is not None:  # the least finite number, so that a row without any valid key stays finite
            scores = scores.masked_fill(~valid[:, None, None], torch.finfo(scores.dtype).min)
        mixed: Tensor = self.out((scores.softmax(-1) @ values).transpose(1, 2).flatten(-2))
        return mixed
