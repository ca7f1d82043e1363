"""What a model folder holds, and its one pointer: a stage is accepted by replacing a single file."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from polymnia.data.scenario import plain_name
from polymnia.errors import SettingsError, StateError, unknown
from polymnia.training.checkpoint import write_atomic
from polymnia.training.folder import readable

BOOK, VERSIONS, PROPOSED, ASIDE = "book.json", "versions", "proposed", "aside"
FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One thing that happened to a model.

    Parameters
    ----------
    what : str
        "accepted", "kept aside", "proposed" (waits for a decision), "overridden" (accepted against the verdict),
        "rejected" (by a person), "rolled back".
    version, stage : str
        The version that it is about, and the stage which that version added.
    at : str
        When, in UTC.
    by : str
        Who, where a person decided.
    why : tuple of str
        What the verdict held against it.
    scores : Mapping
        Stage → score after it.
    data : Mapping
        What was learned from.
    """

    what: str
    version: str
    stage: str = ""
    at: str = ""
    by: str = ""
    why: tuple[str, ...] = ()
    scores: Mapping[str, float | None] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)


def entry_of(said: Mapping[str, Any]) -> Entry:
    """Return an entry of its JSON."""
    return replace(Entry(**said), why=tuple(said["why"]))


@dataclass(frozen=True, kw_only=True)
class Book:
    """A model's settings, its history, and which version is in use.

    Parameters
    ----------
    settings : Mapping
        Of every run, but for the stream.
    limits : Mapping
        Of the gate.
    current : str
        The version in use; "" before the first.
    entries : tuple of Entry
        Oldest first.
    """

    settings: Mapping[str, Any]
    limits: Mapping[str, float]
    current: str = ""
    entries: tuple[Entry, ...] = ()

    def with_entry(self, entry: Entry, *, current: str | None = None) -> "Book":
        """Return the book with one more entry, and perhaps another version in use."""
        dated = replace(entry, at=entry.at or datetime.now(UTC).isoformat(timespec="seconds"))
        return replace(self, entries=(*self.entries, dated), current=self.current if current is None else current)

    def next_version(self, stage: str) -> str:
        """Return the name of the next version; numbers are never given twice."""
        given = [int(entry.version.split("-")[0]) for entry in self.entries]
        return f"{max(given, default=0) + 1:04d}-{slug(stage)}"

    def accepted(self) -> list[str]:
        """Return the versions that were ever in use, oldest first."""
        return list(dict.fromkeys(e.version for e in self.entries if e.what in ("accepted", "overridden")))


class ModelFolder:
    """The paths of a model folder, and its book.

    Every version is a run folder: with settings, states after each stage, scores, report. Versions share what they
    have in common by hard links.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser()

    def version(self, name: str) -> Path:
        """Return the run folder of a version that was accepted."""
        return self.path / VERSIONS / name

    def proposed(self, name: str) -> Path:
        """Return the run folder of a version that is being learned or waits for a decision."""
        return self.path / PROPOSED / name

    def aside(self, name: str) -> Path:
        """Return the run folder of a version that was not accepted."""
        return self.path / ASIDE / name

    @property
    def current(self) -> Path:
        """The run folder in use.

        Raises
        ------
        StateError
            Nothing has been learned yet.
        """
        book = self.read()
        if not book.current:
            raise StateError(f"{self.path} has learned nothing yet. Begin with: polymnia learn {self.path} DATA")
        return self.version(book.current)

    def read(self) -> Book:
        """Return the book.

        Raises
        ------
        StateError
            It is not a model folder, or its book is damaged.
        """
        path = self.path / BOOK
        try:
            held = json.loads(path.read_bytes())
            if held["format"] != FORMAT:
                raise StateError(f"{path} has format {held['format']}; this version of Polymnia reads {FORMAT}")
            entries = tuple(entry_of(entry) for entry in held["entries"])
            return Book(settings=held["settings"], limits=held["limits"], current=held["current"], entries=entries)
        except FileNotFoundError:
            raise StateError(f"{self.path} is not a model. Make one with: polymnia new {self.path}") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StateError(f"{path} is damaged: {error}") from None

    def write(self, book: Book) -> None:
        """Write the book so that a crash leaves the old one or the new."""
        write_atomic(
            self.path / BOOK, f"{readable({'format': FORMAT, **json.loads(json.dumps(asdict(book)))})}\n".encode()
        )

    def tidy(self, book: Book) -> None:
        """Put back what a crash left between its place and the book: a version not accepted there is a proposal."""
        held = self.path / VERSIONS
        for folder in held.iterdir() if held.is_dir() else ():
            if folder.is_dir() and folder.name not in book.accepted():
                shutil.rmtree(self.proposed(folder.name), ignore_errors=True)
                self.proposed(folder.name).parent.mkdir(exist_ok=True)
                folder.rename(self.proposed(folder.name))

    def find(self, book: Book, name: str) -> str:
        """Return the version that a name means: its own, its number, or that of the stage which it added.

        Raises
        ------
        SettingsError
            No accepted version is meant.
        """
        known = book.accepted()
        for version in reversed(known):
            number, _, stage = version.partition("-")
            if name in (version, stage) or (name.isdecimal() and int(name) == int(number)):
                return version
        raise SettingsError(f"{self.path}: {unknown('accepted version', name, known)}")


def slug(name: str) -> str:
    """Return a name that is fit for a folder.

    Examples
    --------
    >>> slug("Herbst / été 2026"), slug("../..")
    ('Herbst-été-2026', 'stage')
    """
    return plain_name(name) or "stage"
