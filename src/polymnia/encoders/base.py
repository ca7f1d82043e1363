"""An encoder: a frozen pretrained network that turns raw values of one kind of signal into tokens (T, d)."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor

from polymnia.data.modality import Array
from polymnia.data.stage import Card
from polymnia.encoders.trunk import Trunk
from polymnia.errors import SettingsError
from polymnia.registry import NoSettings, Registry


class Encoder(ABC):
    """One frozen network.

    An encoder is registered by name; `Settings` is a frozen dataclass of what a user may set, and building one
    finds its weights; they are loaded when the first value is encoded, so that a run whose tokens are all in the cache
    never loads them. `encode` gets values that the modality has read and checked.
    """

    name: ClassVar[str]
    kind: str
    """The kind of signal it reads: a name of `MODALITIES`. Encoders that can be set up for several kinds give it per
    instance, and say "any" on the class."""
    card: ClassVar[Card]
    pooling: ClassVar[str] = "mean"
    """How a model that wants one vector gets it: "mean" or "mean+max" over tokens."""
    batch_size: ClassVar[int] = 32
    """How many values `encode` gets at once."""
    cached: ClassVar[bool] = True
    """Whether its tokens are worth keeping on disk."""

    Settings: type[Any] = NoSettings
    """What a user may set: a frozen dataclass."""

    def __init__(self, settings: Any = None) -> None:
        self.settings: Any = self.Settings() if settings is None else settings

    @property
    @abstractmethod
    def width(self) -> int:
        """The width d of one token."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Hex digest of the weights and of the preprocessing: equal fingerprints mean equal tokens."""

    @property
    def depth(self) -> int:
        """How many layers a model may put something between; 0 where there are none or they cannot be had."""
        return 0

    def cut(self, layer: int, *, ahead: int = 0) -> tuple["Encoder", Trunk]:
        """Return an encoder of the states before a layer (0: before the first), and the layers from there on.

        Both share their weights with this one. What is below the cut is computed once and cached, as ever.

        Parameters
        ----------
        layer : int
            Where to cut.
        ahead : int
            So many layers above the cut work on the states as they are, whatever a model learns. The encoder then
            gives tokens (T, 2 d), the states before `layer` and those after these layers; the trunk says how many.

        Raises
        ------
        SettingsError
            There is no such layer.
        """
        if layer != 0 or ahead != 0:
            raise SettingsError(f"encoder {self.name!r} has no layers to cut at; {layer + ahead} is given")
        return self, Trunk()

    @classmethod
    def available(cls) -> bool:
        """Return whether everything it needs is installed."""
        return True

    def reads(self, kind: str) -> bool:
        """Return whether it takes values of this kind of signal."""
        return kind == self.kind

    def encode_dense(self, values: Array) -> Tensor | None:
        """Return tokens (N, T, d) of a whole column of ready arrays (N, ...), or None to get the values one by one."""
        return None

    @abstractmethod
    def encode(self, values: Sequence[Array | str]) -> list[Tensor]:
        """Return tokens (T_i, d) in float32 for each value; no result depends on the other values.

        Raises
        ------
        DataError
            A value cannot be encoded. The caller then gives the values one at a time and sets that one aside.
        """


ENCODERS: Registry[type[Encoder]] = Registry("encoder", "polymnia.encoders")
register = ENCODERS.register
