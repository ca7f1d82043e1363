"""A model in use, in Python: `learn`, `predict`, `history`, `accept`, `reject`, `rollback`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from polymnia.config import Named
from polymnia.data.modality import Raw
from polymnia.data.own import source_asked_for
from polymnia.data.stage import Stage
from polymnia.errors import SettingsError, StateError
from polymnia.growing.book import BOOK, Book, Entry, ModelFolder
from polymnia.growing.exported import CONFIG, Exported
from polymnia.growing.exporting import HandedOn, export
from polymnia.growing.gate import Verdict, limits_of
from polymnia.growing.in_use import InUse
from polymnia.growing.learning import Proposal, proposed, usable
from polymnia.growing.told import verdict_of
from polymnia.serving.loading import Learned, load
from polymnia.serving.scoring import Evaluation, evaluate
from polymnia.serving.search import Hit, search
from polymnia.training.build import build_encoders
from polymnia.training.checkpoint import alone
from polymnia.training.settings import run_settings
from polymnia.training.trainer import Event

METHODS_OF = {"classifier": "ranpac"}
"""Family → the method of a new model where it is not `replay`: docs/experiments/spine.md says what was measured."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What became of a proposed stage.

    Parameters
    ----------
    version, stage : str
        Its names.
    accepted : bool
        Whether it is in use now.
    folder : Path
        Its run folder.
    verdict : Verdict
        What was found.
    lost : str
        Why it cannot be searched, where the version before it could; "" where nothing was lost.
    """

    version: str
    stage: str
    accepted: bool
    folder: Path
    verdict: Verdict
    lost: str = ""


class Polymnia(InUse):
    """A model folder that grows by a stage at a time.

    Parameters
    ----------
    path : path
        The folder; see `new`.

    Raises
    ------
    StateError
        It is not a model, or damaged.
    """

    def __init__(self, path: str | Path) -> None:
        self.folder = ModelFolder(path)
        self.folder.read()

    @staticmethod
    def from_pretrained(path: str | Path) -> "Polymnia | Exported":
        """Return the model in a folder: one that grows, or one that `export` made, which answers only."""
        folder = Path(path).expanduser()
        return Exported(folder) if (folder / CONFIG).is_file() and not (folder / BOOK).is_file() else Polymnia(folder)

    @classmethod
    def new(
        cls,
        path: str | Path,
        *,
        encoders: Named = "bundled",
        method: Named | None = None,
        model: Named = "classifier",
        trainer: Mapping[str, Any] | None = None,
        evaluation: Mapping[str, Any] | None = None,
        limits: Mapping[str, float] | None = None,
        seed: int = 0,
    ) -> "Polymnia":
        """Make an empty model folder.

        Parameters
        ----------
        path : path
            A folder that is not there yet, or empty.
        encoders : str or Mapping
            As for `polymnia.learn`; so are `model`, `trainer`, `evaluation` and `seed`.
        method : str or Mapping, optional
            Likewise; by default `ranpac` over a classifier, which keeps sums and no samples, and `replay` over others.
        limits : Mapping, optional
            Of the gate: `drop`, `gain`, `score`, `unchanged`.

        Raises
        ------
        SettingsError
            A setting is not accepted, or the method needs every earlier sample.
        StateError
            The folder is there and not empty.
        """
        folder = ModelFolder(path)
        family = model if isinstance(model, str) else model.get("name", "classifier")
        usual = {"name": METHODS_OF.get(family, "replay")}
        method = usual | dict(method or {}) if method is None or isinstance(method, Mapping) else method
        given = {
            "stream": {"name": "own"}, "encoders": encoders, "model": model, "method": method,
            "trainer": dict(trainer or {}), "evaluation": dict(evaluation or {}), "seed": seed,
        }  # fmt: skip
        settings = run_settings(given)
        usable(settings)
        if not isinstance(settings.encoders, str):
            build_encoders(settings.encoders, {})
        if folder.path.exists() and any(folder.path.iterdir()):
            raise StateError(f"{folder.path} is there and not empty; a model wants a folder of its own")
        folder.path.mkdir(parents=True, exist_ok=True)
        kept = limits_of(dict(limits or {}))
        folder.write(Book(settings=given, limits={k: v for k, v in vars(kept).items()}))
        return cls(path)

    # learning -------------------------------------------------------------------------------------------------

    def learn(
        self,
        data: "str | Path | Mapping[str, Any] | Stage",
        *,
        name: str | None = None,
        limits: Mapping[str, float] | None = None,
        valid: float = 0.1,
        test: float = 0.2,
        by: str = "",
        force: bool = False,
        ask: bool = False,
        listen: Callable[[Event], None] = lambda event: None,
    ) -> Decision:
        """Learn a stage beside the model in use; it is accepted if it keeps to the limits, else kept aside.

        Parameters
        ----------
        data : path, str, Mapping or Stage
            A manifest, a folder a class, what `datasets` wrote; a source by name, or with settings; a raw stage.
        name : str, optional
            Of the stage; that of the data by default.
        limits : Mapping, optional
            Other limits than the model's, for this stage.
        valid : float
            Share of the samples to validate by, where the data has no splits of its own.
        test : float
            Share of the samples to test by, likewise.
        by : str
            Who learns, for the history.
        force : bool
            Accept it against the verdict, which is written down.
        ask : bool
            Keep it aside whatever the verdict is, until somebody calls `accept` or `reject`.
        listen : callable
            Gets the events of the run.

        Raises
        ------
        StateError
            Another process is learning.
        DataError, SettingsError
            The data cannot be learned from; the model is as it was.
        """
        asked = data if isinstance(data, Stage | Mapping) else source_asked_for(str(data))
        called = name or _name_of(asked)
        with alone(self.folder.path):
            book = self.folder.read()
            self.folder.tidy(book)
            within = limits_of({**book.limits, **(limits or {})})
            found = proposed(self.folder, book, asked, name=called, limits=within, shares=(valid, test), listen=listen)
            what = "accepted" if found.verdict.accepted else "overridden" if force else "kept aside"
            what = "proposed" if ask else what
            return self._decided(book, found, what, by)

    def _decided(self, book: Book, found: Proposal, what: str, by: str) -> Decision:
        """Put a proposal where it belongs; what is accepted is in use the moment that the book is replaced."""
        accepted = what in ("accepted", "overridden")
        target = self.folder.version(found.version) if accepted else self.folder.aside(found.version)
        target.parent.mkdir(exist_ok=True)
        self.folder.proposed(found.version).rename(target)
        entry = Entry(
            what=what, version=found.version, stage=found.stage, by=by, why=found.verdict.why, scores=found.scores,
            data=found.data,
        )  # fmt: skip
        self.folder.write(book.with_entry(entry, current=found.version if accepted else None))
        self.__dict__.pop("learned", None)
        return Decision(
            version=found.version, stage=found.stage, accepted=accepted, folder=target, verdict=found.verdict,
            lost=found.lost,
        )  # fmt: skip

    def accept(self, version: str, *, by: str) -> None:
        """Take a version that waits or was kept aside into use; who did so, and against what verdict, is written down.

        Raises
        ------
        SettingsError
            There is no such version, or it was learned onto another one than that in use.
        """
        with alone(self.folder.path):
            book = self.folder.read()
            entry = self._kept_aside(book, version)
            onto = verdict_of(self.folder.aside(version))
            stages = [each["stage"] for each in onto["compared"] if not each["new"]]
            here = self._stages(book.current) if book.current else []
            if stages != here:
                was, now = (names[-1] if names else "nothing" for names in (stages, here))
                raise SettingsError(f"{version} was learned onto {was}, and {now} is in use; learn the stage again")
            what = "accepted" if onto["accepted"] else "overridden"
            self.folder.version(version).parent.mkdir(exist_ok=True)
            self.folder.aside(version).rename(self.folder.version(version))
            self.folder.write(book.with_entry(replace(entry, what=what, by=by, at=""), current=version))
            self.__dict__.pop("learned", None)

    def reject(self, version: str, *, by: str) -> None:
        """Note that a version which waits or was kept aside is not wanted; its folder stays.

        Raises
        ------
        SettingsError
            There is no such version.
        """
        with alone(self.folder.path):
            book = self.folder.read()
            entry = replace(self._kept_aside(book, version), what="rejected", by=by, at="")
            self.folder.write(book.with_entry(entry))

    def waiting(self) -> tuple[Entry, ...]:
        """Return the versions that wait for a decision, or were kept aside and not rejected."""
        return tuple(self._all_aside(self.folder.read()).values())

    def _all_aside(self, book: Book) -> dict[str, Entry]:
        last = {entry.version: entry for entry in book.entries if entry.what != "rolled back"}
        held = {name: e for name, e in last.items() if e.what in ("kept aside", "proposed")}
        return {name: entry for name, entry in held.items() if self.folder.aside(name).is_dir()}

    def _kept_aside(self, book: Book, version: str) -> Entry:
        aside = self._all_aside(book)
        if version not in aside:
            raise SettingsError(
                f"{self.folder.path}: {version!r} is not kept aside. Kept aside: {', '.join(aside) or 'none'}"
            )
        return aside[version]

    def _stages(self, version: str) -> list[str]:
        return [each["stage"] for each in verdict_of(self.folder.version(version))["compared"]]

    def rollback(self, version: str, *, by: str = "") -> str:
        """Put an earlier version, or a later one again, into use, and return its name; nothing is deleted.

        Parameters
        ----------
        version : str
            Its name, its number, or the stage that it added.
        by : str
            Who, for the history.
        """
        with alone(self.folder.path):
            book = self.folder.read()
            name = self.folder.find(book, version)
            self.folder.write(book.with_entry(Entry(what="rolled back", version=name, by=by), current=name))
            self.__dict__.pop("learned", None)
        return name

    # asking ---------------------------------------------------------------------------------------------------

    @property
    def version(self) -> str:
        """The name of the version in use; "" before the first."""
        return self.folder.read().current

    def history(self) -> tuple[Entry, ...]:
        """Return everything that happened to the model, oldest first."""
        return self.folder.read().entries

    def _load(self) -> Learned:
        return load(self.folder.current)

    def search(self, query: str | Path | Raw, *, within: str | None = None, k: int = 10) -> list[Hit]:
        """Return the values of the index of the version in use that are nearest to a query; see `polymnia index`.

        Parameters
        ----------
        query : str, Path, bytes or array
            A text (never a file's name), or a file.
        within : str, optional
            A modality: only its values are answers.
        k : int
            How many.
        """
        return search(self.folder.current, query, within, k)

    def evaluate(self, data: str | Path | Mapping[str, Any], *, split: str | None = None) -> Evaluation:
        """Score the version in use on data that it need not have seen; see `polymnia.evaluate`."""
        asked = data if isinstance(data, Mapping) else source_asked_for(str(data))
        return evaluate(self.folder.current, asked, split=split)

    # handing on -----------------------------------------------------------------------------------------------

    def export(self, into: str | Path) -> HandedOn:
        """Write the version in use as a folder that `from_pretrained` loads: weights, settings, card, ONNX.

        Parameters
        ----------
        into : path
            A folder that is not there yet, or empty.

        Raises
        ------
        StateError
            The folder is there and not empty, or nothing has been learned yet.
        """
        return export(self.folder, self.folder.read(), self.learned, Path(into).expanduser())

    def __repr__(self) -> str:
        book = self.folder.read()
        return f"Polymnia({str(self.folder.path)!r}, in use: {book.current or 'nothing yet'})"


def _name_of(data: Mapping[str, Any] | Stage) -> str:
    """Return what a stage is called that nobody named."""
    if isinstance(data, Stage):
        return data.name
    return Path(str(data["path"])).stem if "path" in data else str(data["name"])
