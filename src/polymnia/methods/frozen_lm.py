"""`frozen-lm`: the host stays as it is; bridges alone are learned."""

from types import MappingProxyType
from typing import Any, ClassVar

from polymnia.errors import SettingsError
from polymnia.methods.base import Method, Off, register
from polymnia.models.base import Model
from polymnia.randomness import Randomness


@register("frozen-lm")
class FrozenLM(Method):
    """Fine-tuning of a bridge for each modality in front of a host that nothing is added to.

    Modalities share nothing that is trained, so absent ones and the host's skill with texts cannot be forgotten; what
    can be is another task of the same modality. The trivial rival of everything that trains beside the host.

    Source: Tsimpoukelli et al. 2021 (Frozen): the language model stays, and what sees learns to speak to it.
    """

    needs = frozenset({"text", "bridges"})
    parts = MappingProxyType({"delta": None})
    off: ClassVar[Off] = "it is fine-tuning already, of a model without deltas"

    def __init__(self, model: Model, settings: Any = None, *, randomness: Randomness | None = None) -> None:
        super().__init__(model, settings, randomness=randomness)
        delta = getattr(model.settings, "delta", None)
        if delta is not None:
            raise SettingsError(
                f"method 'frozen-lm' adds nothing to the host, and model.delta is {delta['name']!r}, which would be "
                "trained. Set model.delta=null, or take method finetune"
            )
