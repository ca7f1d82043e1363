"""`image-bind`: every modality is bound to one anchor, whose encoder is the space."""

from types import MappingProxyType
from typing import ClassVar

from polymnia.methods.base import Method, Off, register


@register("image-bind")
class ImageBind(Method):
    """The space is that of the mediator's frozen encoder; each new modality learns a map into it, by InfoNCE.

    In the paper the anchor is images, its encoder was trained with text, and the other modalities' encoders are
    trained; here the anchor is the stream's mediator, encoders are frozen, and what is trained is a modality's head.

    Source: Girdhar et al. 2023, "ImageBind: one embedding space to bind them all", eq. 1.
    """

    needs = frozenset({"space"})
    parts = MappingProxyType({"path": "given", "projector": "normalised", "objective": "info-nce", "freeze": True})
    off: ClassVar[Off] = "it is fine-tuning already, of a model whose mediator is given"
