"""`moe-lora`: fine-tuning of low-rank experts that a router weighs for each token."""

from types import MappingProxyType
from typing import ClassVar

from polymnia.methods.base import Method, Off, register


@register("moe-lora")
class MoELoRA(Method):
    """Fine-tuning with a mixture of low-rank experts, over which what is learned may spread.

    Nothing is frozen and nothing else is done about forgetting; all is the delta's affair (`mixture`).

    Source: Chen et al. 2024 (CoIN, a benchmark of continual instruction tuning for multimodal large language models),
    its MoELoRA.
    """

    needs = frozenset({"text"})
    parts = MappingProxyType({"delta": {"name": "mixture"}})
    off: ClassVar[Off] = "it is fine-tuning already, of a model with another delta"
