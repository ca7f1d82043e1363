"""`mode`: experts for texts and one map for pictures that share nothing, and distillation of what is drawn."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from polymnia.methods.base import register
from polymnia.methods.drawing_distillation import DrawingDistillation


@register("mode")
class MoDE(DrawingDistillation):
    """Modality-decoupled experts: what texts learn cannot change how pictures are drawn; what pictures learn is held.

    ``L = L_task + distil · L_KD`` in one backward pass. The task's loss trains both the experts of texts and the map of
    pictures, for the pictures of a question pass through that map; L_KD, on sequences in which all counts as a picture,
    trains the map alone. Which experts there are is the delta's affair (`decoupled`), and which phase treats tokens as
    what the model's (`route_text`, `route_image`). Nothing is frozen, grown or merged between stages.

    Variants: ``distil: 0`` is MoDE without distillation; `drawing-distillation` is the same distillation over any other
    delta, and `combined` puts it beside any other method.

    Source: Wei et al. 2025 (MoDE, NeurIPS), its training objective; released code for the release's choices.
    """

    parts: ClassVar[Mapping[str, Any]] = MappingProxyType({"delta": {"name": "decoupled"}})
