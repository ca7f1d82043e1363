"""`coda-prompt`: prompts that are sums of components, more of them with each stage."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from polymnia.methods.base import register
from polymnia.methods.prompting import Prompting


@register("coda-prompt")
class CodaPrompt(Prompting):
    """Fine-tune the stage's components and the head, with the loss among the stage's own classes.

    The loss is the cross-entropy plus λ times how far keys, attentions and components are from orthogonal. The
    prompts, and what of the paper they adapt, are in model part `coda-prompt` (prompts); with a model that has none
    it is fine-tuning of what there is.

    Source: Smith et al. 2023 (CODA-Prompt), section 4; the masked head is theirs ("local cross-entropy").
    """

    parts: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {"adapter": None, "delta": None, "prompts": {"name": "coda-prompt"}}
    )
