"""Polymnia grows one multimodal model stage by stage over frozen encoders, and shows what it kept."""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_PUBLIC = {
    "stream": "polymnia.api",
    "learn": "polymnia.api",
    "resume": "polymnia.api",
    "evaluate": "polymnia.api",
    "check": "polymnia.data.check",
    "Polymnia": "polymnia.growing.polymnia",
    "Batch": "polymnia.data.batch",
    "Sample": "polymnia.data.samples",
    "Samples": "polymnia.data.samples",
    "Stage": "polymnia.data.stage",
    "Stream": "polymnia.data.stage",
    "Encoder": "polymnia.encoders.base",
    "Model": "polymnia.models.base",
    "Output": "polymnia.models.base",
    "Method": "polymnia.methods.base",
    "PolymniaError": "polymnia.errors",
}

__all__ = ["__version__", "methods", *_PUBLIC]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "methods":
        return import_module("polymnia.methods")
    if name not in _PUBLIC:
        raise AttributeError(f"module 'polymnia' has no attribute {name!r}")
    module = import_module(_PUBLIC[name])
    return getattr(module, name)


def __dir__() -> list[str]:
    return sorted(__all__)


if TYPE_CHECKING:
    from polymnia import methods
    from polymnia.api import evaluate, learn, resume, stream
    from polymnia.data.batch import Batch
    from polymnia.data.check import check
    from polymnia.data.samples import Sample, Samples
    from polymnia.data.stage import Stage, Stream
    from polymnia.encoders.base import Encoder
    from polymnia.errors import PolymniaError
    from polymnia.growing.polymnia import Polymnia
    from polymnia.methods.base import Method
    from polymnia.models.base import Model, Output
