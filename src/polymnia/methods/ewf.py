"""`ewf`: weight fusion alone; what is learned is averaged with the weights of the stage before."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

from torch import Tensor

from polymnia.data.stage import Stage
from polymnia.errors import SettingsError
from polymnia.methods.base import Method, Off, register
from polymnia.methods.weight_fusion import due, fuse, fusible
from polymnia.models.base import Model
from polymnia.randomness import Randomness


@register("ewf")
class EWF(Method):
    """Endpoints weight fusion: ``θ ← (1 − alpha) θ_old + alpha θ``, from the second stage on.

    Fused is what all modalities share: the deltas of a language model, never a bridge; of other families every
    trained weight that had its shape before. In the paper the share depends on the number of classes, and weights are
    fused once, after a stage; here the share is one number, as in the comparison of MoInCL, and by default they are
    fused after each epoch, before validation.

    Source: Xiao et al. 2023 (Endpoints weight fusion for class-incremental semantic segmentation); Pian et al. 2024
    (MoInCL), where it is a rival.
    """

    needs = frozenset({"logits"})
    state = ("old",)
    off: ClassVar[Off] = MappingProxyType({"alpha": 1.0})

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """How much of the new stays, and how often they are fused."""

        alpha: float = 0.5
        """Share of the new weights; 1: fine-tuning, 0: nothing is learned."""
        every: int = 0
        """Steps from fusion to fusion; 0: at the end of each epoch."""

        def __post_init__(self) -> None:
            if not 0 <= self.alpha <= 1:
                raise SettingsError(f"method.alpha: {self.alpha} is given; a share from 0 to 1 is needed")
            if self.every < 0:
                raise SettingsError(f"method.every: {self.every} is given; a number of steps, or 0, is needed")

    settings: Settings
    old: dict[str, Tensor]

    def __init__(self, model: Model, settings: Any = None, *, randomness: Randomness | None = None) -> None:
        super().__init__(model, settings, randomness=randomness)
        self.old = {}

    def after_step(self) -> None:
        """Fuse, when it is time."""
        if self.old and due(self.clock, self.settings.every):
            fuse(fusible(self.model), self.old, share=self.settings.alpha)

    def after_stage(self, stage: Stage) -> None:
        """Keep the weights as the next stage's old ones."""
        if self.settings.alpha < 1:
            self.old = {name: weight.detach().clone() for name, weight in fusible(self.model).items()}
