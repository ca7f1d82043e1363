"""`symile`: all modalities of a sample at once, by the sum of products."""

from types import MappingProxyType
from typing import ClassVar

from polymnia.methods.base import Method, Off, register


@register("symile")
class Symile(Method):
    """Contrast of n modalities by their multilinear inner product instead of pair by pair.

    It needs samples that have more than two modalities (`stream.together`) to differ from pairwise contrast.

    Source: Saporta et al. 2024, "Contrasting with Symile: simple model-agnostic representation learning for unlimited
    modalities", section 3.
    """

    needs = frozenset({"space"})
    parts = MappingProxyType({"objective": "symile"})
    off: ClassVar[Off] = "it is fine-tuning already, of a model with another objective"
