"""`o-lora`: a low-rank map for each stage, learned in a subspace orthogonal to those of the stages before."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor

from polymnia.data.batch import Batch
from polymnia.errors import SettingsError
from polymnia.layers.deltas.stacked import Form, Stacked
from polymnia.methods.adding import Adding
from polymnia.methods.base import Off, Terms, register
from polymnia.models.base import Model
from polymnia.randomness import Randomness


@register("o-lora")
class OLoRA(Adding):
    """Orthogonal low-rank adaptation: stages' maps are added up, each learned away from the subspaces of the others.

    Adds ``strength · Σ over places Σ_i Σ_jk |(A_new A_iᵀ)_jk|²`` to the task's loss, or the same without the square.
    The bridges are trained as ever; the paper, of a language model alone, has none.

    Source: Wang et al. 2023 (Orthogonal subspace learning for language model continual learning), eqs. 6 to 8. The
    paper squares; its released code takes absolute values, which is what its strength of 0.5 is for.
    """

    needs = frozenset({"text"})
    parts = MappingProxyType({"delta": {"name": "stacked"}})
    off: ClassVar[Off] = MappingProxyType({"strength": 0.0})

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """How strong, and of which form."""

        strength: float = 0.5
        form: Form = "absolute"
        """What of the products of two maps' rows is summed: their absolute values, or their squares."""

    settings: Settings

    def __init__(self, model: Model, settings: Any = None, *, randomness: Randomness | None = None) -> None:
        super().__init__(model, settings, randomness=randomness)
        delta = getattr(model.settings, "delta", None) or {"name": "none"}
        if self.settings.strength and delta["name"] != Stacked.name:
            raise SettingsError(
                f"method.strength: stages' maps are to be orthogonal, and model.delta is {delta['name']!r}, which "
                f"has no map for each stage. Take model.delta={Stacked.name}, or set method.strength=0"
            )

    def added(self, batch: Batch) -> Terms:
        """Return the penalty."""
        if not self.settings.strength or len(self.model.grown) < 2:
            return {}
        return {"orthogonality": self.settings.strength * self.overlap()}

    def overlap(self) -> Tensor:
        """Return the sum over places of how much the newest map overlaps with the earlier ones, a scalar."""
        deltas = [delta for delta in self.model.modules() if isinstance(delta, Stacked)]
        return torch.stack([delta.overlap(self.settings.form) for delta in deltas]).sum()
