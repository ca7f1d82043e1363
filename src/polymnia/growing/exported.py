"""A model that was handed on: it answers, and grows no more."""

from pathlib import Path
from typing import Any

from polymnia.errors import SettingsError, StateError
from polymnia.growing.book import Entry, entry_of
from polymnia.growing.in_use import InUse
from polymnia.serving.loading import Learned, assembled
from polymnia.training.checkpoint import load_state
from polymnia.training.settings import run_settings

WEIGHTS, CONFIG = "model.safetensors", "config.json"
FILES = (WEIGHTS, CONFIG)
FORMAT = 1


class Exported(InUse):
    """A folder that `polymnia export` made; nothing in it is ever executed.

    Parameters
    ----------
    path : path
        The folder.

    Raises
    ------
    StateError
        It is no such folder, or it is damaged.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser()
        if not (self.path / CONFIG).is_file():
            raise StateError(f"{self.path} is no exported model: it has no {CONFIG}")
        self.held: dict[str, Any] = load_state(self.path, files=FILES)
        try:
            if self.held["format"] != FORMAT:
                raise StateError(
                    f"{self.path / CONFIG} has format {self.held['format']}; this version of Polymnia reads {FORMAT}"
                )
            self.settings = run_settings(self.held["settings"])
            self._history = tuple(entry_of(entry) for entry in self.held["history"])
            _ = self.held["version"], self.held["stage"], self.held["stream"]["class_names"], self.held["learned"]
        except (KeyError, TypeError, SettingsError) as error:
            raise StateError(f"{self.path / CONFIG} is damaged: {error}") from None

    @property
    def version(self) -> str:
        """The version that was handed on."""
        return str(self.held["version"])

    def history(self) -> tuple[Entry, ...]:
        """Return what happened to the model before it was handed on, oldest first."""
        return self._history

    def _load(self) -> Learned:
        return assembled(
            self.path / CONFIG, self.settings, self.held["stream"], self.held["learned"], stage=self.held["stage"],
            folder=self.path,
        )  # fmt: skip

    def __repr__(self) -> str:
        return f"Exported({str(self.path)!r}, version: {self.version})"
