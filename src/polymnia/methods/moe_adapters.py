"""`moe-adapters`: experts inside frozen encoders; those that a stage used most are frozen after it."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

from polymnia.data.stage import Stage
from polymnia.errors import SettingsError
from polymnia.methods.base import Method, Off, register
from polymnia.methods.freezing import Usage, freeze_used, has_experts
from polymnia.models.base import Model
from polymnia.randomness import Randomness


@register("moe-adapters")
class MoEAdapters(Method):
    """Mixture-of-experts adapters with freezing by use: fine-tuning, without a memory and without a teacher.

    Every block has experts and a router that takes two of them; after each stage the two that were used most are
    frozen, so that later stages can build on them and cannot change them.

    The paper adapts CLIP's two towers, has a router for each task, and asks an autoencoder which task a sample is of
    or whether to leave it to plain CLIP. Here one router serves all stages, for no task identity is given, and there
    is no such selector. Use is counted in one pass after the last epoch rather than during training.

    Attributes
    ----------
    usage : list
        For each stage, for each block, for each expert: the sum of its weights over the stage's training samples.

    Source: Yu et al. 2024 (Boosting continual learning of vision-language models via mixture-of-experts adapters),
    section 3.2, activate-freeze.
    """

    needs = frozenset({"logits", "one row a sample"})
    state = ("usage",)
    parts = MappingProxyType({"adapter": {"name": "moe"}})
    off: ClassVar[Off] = MappingProxyType({"freeze": False})

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """Whether experts are frozen."""

        freeze: bool = True
        """Whether the most used experts are frozen after a stage, in each block as many as the adapter's `freeze`."""

    settings: Settings

    def __init__(self, model: Model, settings: Any = None, *, randomness: Randomness | None = None) -> None:
        super().__init__(model, settings, randomness=randomness)
        self.usage: list[Usage] = []
        if self.settings.freeze and not has_experts(model):
            raise SettingsError(
                f"method.freeze: the most used experts are to be frozen, and model {model.name!r} has none. Take "
                "model=adapted with model.adapter=moe, or set method.freeze=false"
            )

    def after_stage(self, stage: Stage) -> None:
        """Freeze the experts that were used most."""
        self.usage.append(freeze_used(self, stage))
