"""`zero-shot`: nothing is learned; what is scored is the model as it came."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from polymnia.data.batch import Batch
from polymnia.methods.base import Method, Off, Terms, register


@register("zero-shot")
class ZeroShot(Method):
    """Answer and draw as the host does: it is what learning has to be better than, and what drawing may not fall below.

    It needs a host that reads pictures itself, for a bridge that nothing has trained shows it nothing.

    Source: the first row of Wei et al. 2025 (MoDE), Table 1, and of most studies over a pretrained model.
    """

    needs = frozenset({"text", "drawing"})
    passes = 1
    parts: ClassVar[Mapping[str, Any]] = MappingProxyType({"delta": None})
    off: ClassVar[Off] = "it learns nothing already, and fine-tuning learns"

    def loss(self, batch: Batch) -> Terms:
        """Return nothing to step."""
        return {}
