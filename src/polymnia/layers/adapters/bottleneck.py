"""`bottleneck`: one ordinary adapter a modality, always trained."""

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


@register("bottleneck")
class Bottleneck(Adapter):
    """Down, GELU and up, for each modality by itself; `up` and its bias are zero at start.

    With `shared`, one for all modalities, which must have one width: what the experts of `stage-experts` are worth.
    The cheap rival of every adapter with experts; E experts of width r have the size of one of width E · r.

    Source: Houlsby et al. 2019, here beside the block instead of behind it.
    """

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """How wide it is inside, and how many there are."""

        bottleneck: int = 64
        shared: bool = False
        """One adapter for all modalities, in place of one for each."""

        def __post_init__(self) -> None:
            if self.bottleneck < 1:
                raise SettingsError(f"adapter.bottleneck: {self.bottleneck} is given; at least 1 is accepted")

    settings: Settings

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(settings)
        self.down, self.up = nn.ModuleDict(), nn.ModuleDict()
        self.shared = self.settings.shared
        self.width, self.known = 0, set[str]()

    def grow(self, stage: Outline, modalities: Sequence[str]) -> None:
        """Add the weights of new modalities."""
        if self.shared:
            self.width = one_width(self, stage, modalities, self.width)
        for m in sorted(modalities):
            self.known.add(m)
            of = self._of(m)
            if of not in self.down:
                self.down[of] = nn.Linear(stage.widths[m], self.settings.bottleneck, bias=False)
                up = nn.Linear(self.settings.bottleneck, stage.widths[m])
                with torch.no_grad():
                    up.weight.zero_(), up.bias.zero_()
                self.up[of] = up

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return modality → (B, T, d)."""
        return {
            m: cleaned(self.up[self._of(m)](gelu(self.down[self._of(m)](cleaned(batch.values[m], batch, m)))), batch, m)
            for m in batch.modalities
            if m in self.known
        }

    def _of(self, modality: str) -> str:
        """Return the name of the weights of a modality."""
        return "all" if self.shared else modality
