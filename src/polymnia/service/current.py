"""The version in use, taken up anew when another is: a request is answered by the one that its batch began with."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from polymnia.data.modality import Raw
from polymnia.errors import SettingsError, StateError
from polymnia.growing.book import BOOK, ModelFolder
from polymnia.growing.predicting import Answer, Prediction, answers, predictions
from polymnia.serving.loading import Embedded, Learned, Passing, load
from polymnia.serving.search import Hit, Searcher


@dataclass(frozen=True)
class Loaded:
    """A version that was loaded."""

    version: str
    folder: Path
    learned: Learned
    searcher: Searcher | None
    unsearchable: str = ""
    """Why it cannot be searched, if so."""
    alone: threading.Lock = field(default_factory=threading.Lock)
    """Who asks the model: one at a time, for a host that carries deltas is changed while it does."""


class Current:
    """What is in use in a model folder, or a run folder as it is.

    Parameters
    ----------
    path : Path
        A model or run folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.model = ModelFolder(path) if (path / BOOK).is_file() else None
        self._lock = threading.Lock()
        self._seen: tuple[str, int] | None = None
        self._held: Loaded | None = None

    @property
    def held(self) -> Loaded:
        """What is in use now.

        Raises
        ------
        StateError
            Nothing has been learned yet.
        """
        if self._held is None:
            self.refresh()
        if self._held is None:
            raise StateError(f"{self.path} has learned nothing yet")
        return self._held

    def refresh(self) -> bool:
        """Load what is in use if it is another version than before, or has another index; return whether it was."""
        with self._lock:
            folder = self._folder()
            if folder is None:
                return False
            seen = folder.name, _changed(folder / "index")
            if seen == self._seen:
                return False
            same = self._held is not None and self._held.folder == folder
            learned = self._held.learned if same and self._held is not None else load(folder, cache=Passing())
            self._held = Loaded(folder.name, folder, learned, *_searcher(folder))
            self._seen = seen
            return True

    def _folder(self) -> Path | None:
        if self.model is None:
            return self.path
        book = self.model.read()
        return self.model.version(book.current) if book.current else None

    # asking ---------------------------------------------------------------------------------------------------

    def predict(self, things: Sequence[Mapping[str, Raw]]) -> list[tuple[str, Prediction]]:
        """Return by thing the version that answered, and every class with its probability."""
        held = self.held
        with held.alone, torch.inference_mode():
            found = predictions(held.learned, _by_modality(things), top=len(held.learned.class_names))
        return [(held.version, each) for each in found]

    def answer(self, asked: Sequence[tuple[Mapping[str, Raw], str]]) -> list[tuple[str, Answer]]:
        """Return by thing and question the version that answered, and what it wrote."""
        held = self.held
        things, questions = [thing for thing, _ in asked], [question for _, question in asked]
        with held.alone, torch.inference_mode():
            found = answers(held.learned, _by_modality(things), questions=questions)
        return [(held.version, each) for each in found]

    def embed(self, thing: Mapping[str, Raw]) -> tuple[str, dict[str, Embedded]]:
        """Return the version that answered, and the vector of each value."""
        held = self.held
        with held.alone:
            return held.version, held.learned.embed({m: [value] for m, value in thing.items()})

    def search(self, modality: str, value: Raw, *, within: str | None, k: int) -> tuple[str, list[Hit]]:
        """Return the version that answered, and the nearest values of its index.

        Raises
        ------
        SettingsError
            It has no index, or its index cannot be used.
        """
        held = self.held
        return held.version, searcher_of(held).search(value, within=within, k=k, modality=modality)

    def rows(self, id: str, modality: str) -> list[dict[str, Any]]:
        """Return what the index says of one value; errors as those of `search`."""
        return searcher_of(self.held).rows(id, modality)


def searcher_of(held: Loaded) -> Searcher:
    """Return what searches a version's index.

    Raises
    ------
    SettingsError
        It has no index, or its index cannot be used.
    """
    if held.searcher is None:
        raise SettingsError(f"version {held.version} cannot be searched: {held.unsearchable}")
    return held.searcher


def _by_modality(things: Sequence[Mapping[str, Raw]]) -> dict[str, list[Raw | None]]:
    """Return by modality the value of each thing, None where it has none."""
    return {m: [thing.get(m) for thing in things] for m in sorted({m for thing in things for m in thing})}


def _searcher(folder: Path) -> tuple[Searcher | None, str]:
    """Return what searches a version's index, or why nothing does: a version without an index can still predict."""
    try:
        return Searcher(folder), ""
    except (StateError, SettingsError) as error:
        return None, str(error)


def _changed(path: Path) -> int:
    """Return when a folder was changed last; 0 where it is not there."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def scores_of(folder: Path) -> dict[str, Any]:
    """Return what is shown of a version's scores: stages, matrix, metric, costs."""
    from polymnia.evaluation.scores import is_share, read_scores

    scores = read_scores(folder)
    return {
        "share": is_share(scores.metric),
        "stages": scores.stages,
        "metric": scores.metric,
        "matrix": scores.matrix,
        "final_average": scores.final_average,
        "forgetting": scores.forgetting,
        "learning_accuracy": scores.learning_accuracy,
        "cost": [cost.model_dump() for cost in scores.cost],
    }
