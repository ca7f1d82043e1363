"""`cross-bottleneck`: one cross-modality adapter without a gate, always trained."""

from dataclasses import dataclass
from typing import Literal

from polymnia.layers.adapters.base import register
from polymnia.layers.adapters.cross_experts import CrossExperts


@register("cross-bottleneck")
class CrossBottleneck(CrossExperts):
    """`cross-experts` with a single expert: what crossing modalities is worth without a choice of experts."""

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """How wide it is inside, and how modalities meet."""

        bottleneck: int = 64
        cross: Literal["attention", "gate", "none"] = "attention"

    def __init__(self, settings: Settings | None = None) -> None:
        given = self.Settings() if settings is None else settings
        alone = CrossExperts.Settings(experts=1, active=1, bottleneck=given.bottleneck, cross=given.cross)
        super().__init__(alone)
