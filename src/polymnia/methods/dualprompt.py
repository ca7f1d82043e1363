"""`dualprompt`: general prompts for what stages have in common, and an expert for each stage."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from polymnia.methods.base import register
from polymnia.methods.prompting import Prompting


@register("dualprompt")
class DualPrompt(Prompting):
    """Fine-tune general prompts, the stage's expert and the head, with the loss among the stage's own classes.

    The loss is the cross-entropy plus ``λ (1 − cos(q(x), k_t))``, k_t the current expert's key. The prompts, and what
    of the paper they adapt, are in model part `dualprompt` (prompts); with a model that has none it is fine-tuning of
    what there is.

    Source: Wang et al. 2022 (DualPrompt, ECCV), section 4; the masked head is that of its code.
    """

    parts: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {"adapter": None, "delta": None, "prompts": {"name": "dualprompt"}}
    )
