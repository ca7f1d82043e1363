"""`pathweave`: a path of frozen and new low-rank maps for each modality; adapters in adapters."""

from types import MappingProxyType
from typing import ClassVar

from polymnia.methods.base import Method, Off, register


@register("pathweave")
class PathWeave(Method):
    """Fine-tuning of one modality's path at a time; what other modalities' paths give stays as it is, bit for bit.

    All is the delta's affair (`in-adapter`), whose text says what is the paper's and what is inferred. A modality that
    comes again goes on with its bridge; `model.freeze_seen` keeps that too.

    Source: Yu et al. 2024 (PathWeave, "LLMs can evolve continually on modality for X-modal reasoning").
    """

    needs = frozenset({"text", "bridges"})
    parts = MappingProxyType({"delta": {"name": "in-adapter"}})
    off: ClassVar[Off] = "it is fine-tuning already, of a model with a path for each modality"
