"""`frozen-text`: COMET's model without continual learning of the mediator; the strong trivial rival."""

from types import MappingProxyType
from typing import ClassVar

from polymnia.methods.base import Method, Off, register


@register("frozen-text")
class FrozenText(Method):
    """The mediator's path into the space is trained in the first stage only; later modalities are pulled to it.

    Nothing of the mediator can be forgotten, and no old modality moves: what it cannot do is learn from later stages
    what the mediator means there. The model's other parts are COMET's; codes of earlier stages stay as well.

    Source: the baseline to beat of the specification's pilot; the mediator is text there.
    """

    needs = frozenset({"space"})
    parts = MappingProxyType({"path": "stays", "adapter": "stage-experts", "codebook": "multimodal-ema", "freeze": True,
                              "reconstruct": 1.0, "information": 0.1})  # fmt: skip
    off: ClassVar[Off] = "it is fine-tuning already, of a model whose mediator stays"
