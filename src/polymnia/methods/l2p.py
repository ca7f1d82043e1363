"""`l2p`: learning to prompt; a pool of prompts, chosen for each sample by what a frozen encoder sees in it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from polymnia.methods.base import register
from polymnia.methods.prompting import Prompting


@register("l2p")
class L2P(Prompting):
    """Fine-tune a pool of prompts and the head, with the loss among the stage's own classes.

    The loss is the cross-entropy plus ``λ Σ (1 − cos(q(x), k))`` over the keys of the prompts chosen. The prompts, and
    what of the paper they adapt, are in model part `l2p` (prompts); with a model that has none it is fine-tuning of
    what there is.

    Source: Wang et al. 2022 (Learning to prompt for continual learning), eq. 5; the masked head is that of its code.
    """

    parts: ClassVar[Mapping[str, Any]] = MappingProxyType({"adapter": None, "delta": None, "prompts": {"name": "l2p"}})
