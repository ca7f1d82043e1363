"""A source: a labelled data set, before a scenario cuts it into a stream."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

from polymnia.data.samples import Samples
from polymnia.data.stage import Card, Rejected
from polymnia.errors import DataError, SettingsError, unknown
from polymnia.registry import Registry


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """All samples of a source.

    Parameters
    ----------
    samples : Samples
        Raw values; `targets` index `class_names`. Columns a scenario understands: `split` (train, valid,
        test), `group` (never parted by a split), `domain`, `stage`.
    class_names : tuple of str
        By class index.
    kinds : Mapping
        Modality → kind of signal.
    rejected : tuple of Rejected
        Rows that could not become samples.
    """

    samples: Samples
    class_names: tuple[str, ...]
    kinds: Mapping[str, str]
    rejected: tuple[Rejected, ...] = ()


class Source(ABC):
    """A data set by name: its card, its settings, and how to load it.

    A source is one file in `data/sources/`; `Settings` is a frozen dataclass whose fields are what a user may set.
    """

    name: ClassVar[str]
    card: ClassVar[Card]
    Settings: type[Any]

    def __init__(self, settings: Any = None) -> None:
        self.settings = self.Settings() if settings is None else settings

    @abstractmethod
    def load(self) -> Dataset:
        """Return every sample; raise DataError saying how to get the data when it is not there."""

    @classmethod
    def available(cls) -> bool:
        """Return whether `load` would find its data with default settings; without a path there may be none."""
        return all(f.default is not MISSING or f.default_factory is not MISSING for f in fields(cls.Settings))

    @classmethod
    def get(cls, into: Path | None = None) -> Path | None:
        """Fetch the data onto this machine and return where it is; None when there is nothing to fetch."""
        return None


def given_folder(path: str) -> Path:
    """Return the folder that a source's setting `path` names, or raise DataError."""
    given = Path(path).expanduser()
    if not given.is_dir():
        raise DataError(f"stream.path: {given} is not a folder")
    return given


def check_modalities(given: Sequence[str], kinds: Mapping[str, str]) -> None:
    """Raise SettingsError unless the modalities that are asked for are among the set's."""
    strange = [m for m in given if m not in kinds]
    if strange or not given:
        raise SettingsError(f"stream.modalities: {unknown('modality', (strange or [''])[0], kinds)}")


SOURCES: Registry[type[Source]] = Registry("source", "polymnia.data.sources")
register = SOURCES.register
