"""Names to parts: a part registers itself beside its code, and adding one touches one file."""

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

from polymnia.errors import SettingsError, unknown

T = TypeVar("T")
P = TypeVar("P")
"""The part's own type, so that a registered class can be a base of another."""


@dataclass(frozen=True, kw_only=True)
class NoSettings:
    """The settings of a part that has none; a part with some names its own dataclass `Settings`."""


class Registry(Generic[T]):
    """The parts of one kind, by name; every file of the package is imported on first use.

    Parameters
    ----------
    kind : str
        The word for one part in messages: "method", "encoder".
    package : str
        The package whose files register parts. Installed plug-ins join through the entry-point
        group of the same name.
    """

    def __init__(self, kind: str, package: str) -> None:
        self.kind = kind
        self.package = package
        self._parts: dict[str, T] = {}
        self._loaded = False

    def register(self, name: str) -> Callable[[P], P]:
        """Return a decorator that files a part under `name` and sets its `name` attribute."""

        def decorate(part: P) -> P:
            if name in self._parts and self._parts[name] is not part:
                raise SettingsError(f"two {self.kind}s are called {name!r}: {self._parts[name]!r} and {part!r}")
            named: Any = part
            named.name = name
            self._parts[name] = named
            return part

        return decorate

    def get(self, name: str) -> T:
        """Return the part called `name`, or raise SettingsError with the nearest right name."""
        self._load()
        if name not in self._parts:
            raise SettingsError(unknown(self.kind, name, self._parts))
        return self._parts[name]

    def names(self) -> list[str]:
        """Return every registered name, sorted."""
        self._load()
        return sorted(self._parts)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __contains__(self, name: object) -> bool:
        self._load()
        return name in self._parts

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True  # first, so that a part which looks up another while it is imported does not recurse
        try:
            package = importlib.import_module(self.package)
            for found in pkgutil.iter_modules(package.__path__, prefix=f"{self.package}."):
                importlib.import_module(found.name)
            for plugin in entry_points(group=self.package):
                plugin.load()
        except BaseException:
            self._loaded = False  # the next look-up shall fail for the same reason, not find half the parts
            raise
