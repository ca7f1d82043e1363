"""An encoder: a frozen pretrained network that turns raw values of one kind of signal into tokens (T, d)."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from polymnia.data.modality import Array
from polymnia.data.stage import Card
from polymnia.registry import Registry


class Encoder(ABC):
    """One frozen network.

    An encoder is registered by name; `Settings` is a frozen dataclass of what a user may set, and building one
    loads its weights. `encode` gets values that the modality has read and checked.
    """

    name: ClassVar[str]
    kind: ClassVar[str]
    """The kind of signal it reads: a name of `MODALITIES`."""
    card: ClassVar[Card]
    pooling: ClassVar[str] = "mean"
    """How a model that wants one vector gets it: "mean" or "mean+max" over tokens."""
    batch_size: ClassVar[int] = 32

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """What a user may set."""

    def __init__(self, settings: Any = None) -> None:
        self.settings = self.Settings() if settings is None else settings

    @property
    @abstractmethod
    def width(self) -> int:
        """The width d of one token."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Hex digest of the weights and of the preprocessing: equal fingerprints mean equal tokens."""

    @abstractmethod
    def encode(self, values: Sequence[Array | str]) -> list[Tensor]:
        """Return tokens (T_i, d) in float32 for each value; no result depends on the other values."""


ENCODERS: Registry[type[Encoder]] = Registry("encoder", "polymnia.encoders")
register = ENCODERS.register
