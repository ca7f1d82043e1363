"""`one-encoder`: one universal projection for all modalities, trained with the first two and then frozen."""

from types import MappingProxyType
from typing import ClassVar

from polymnia.methods.base import Method, Off, register


@register("one-encoder")
class OneEncoder(Method):
    """A universal projection with a token for each modality; later modalities learn their token and projector only.

    Source: Faye et al. 2024, "OneEncoder: a lightweight framework for progressive alignment of modalities"
    (arXiv 2409.11059); there the projector of a later modality is called alignment layer.
    """

    needs = frozenset({"space"})
    parts = MappingProxyType({"path": "stays", "adapter": "universal", "objective": "info-nce", "freeze": True})
    off: ClassVar[Off] = "it is fine-tuning already, of a model whose projection is frozen after the first stage"
