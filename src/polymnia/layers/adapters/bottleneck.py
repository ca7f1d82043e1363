"""`bottleneck`: one ordinary adapter a modality, always trained."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from polymnia.data.batch import Batch
from polymnia.data.stage import Outline
from polymnia.errors import SettingsError
from polymnia.layers.adapters.base import Adapter, register
from polymnia.layers.adapters.cross import cleaned


@register("bottleneck")
class Bottleneck(Adapter):
    """Down, GELU and up, for each modality by itself; `up` and its bias are zero at start.

    The cheap rival of every adapter with experts; E experts of width r have the size of one of width E · r.

    Source: Houlsby et al. 2019, here beside the block instead of behind it.
    """

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """How wide it is inside."""

        bottleneck: int = 64

        def __post_init__(self) -> None:
            if self.bottleneck < 1:
                raise SettingsError(f"adapter.bottleneck: {self.bottleneck} is given; at least 1 is accepted")

    settings: Settings

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(settings)
        self.down, self.up = nn.ModuleDict(), nn.ModuleDict()

    def grow(self, stage: Outline, modalities: Sequence[str]) -> None:
        """Add the weights of new modalities."""
        for m in sorted(modalities):
            if m not in self.down:
                self.down[m] = nn.Linear(stage.widths[m], self.settings.bottleneck, bias=False)
                up = nn.Linear(self.settings.bottleneck, stage.widths[m])
                with torch.no_grad():
                    up.weight.zero_(), up.bias.zero_()
                self.up[m] = up

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return modality → (B, T, d)."""
        return {
            m: cleaned(self.up[m](gelu(self.down[m](cleaned(batch.values[m], batch, m)))), batch, m)
            for m in batch.modalities
            if m in self.down
        }
