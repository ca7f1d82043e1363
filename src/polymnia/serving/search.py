"""Search a run's index by a text or a file of any kind it has learned, in any direction."""

import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from polymnia.data.modality import Array, Raw
from polymnia.errors import DataError, SettingsError, unknown
from polymnia.models.base import MODELS
from polymnia.serving.asking import modality_of
from polymnia.serving.loading import Learned, Passing, load
from polymnia.serving.nearest import nearest, rows_of, warm
from polymnia.serving.table import open_index

log = logging.getLogger(__name__)

MOST = 1000
"""Largest number of hits."""
ZERO = 1e-6
"""Cosines this small are 0: the table's arithmetic is that of float32."""


@dataclass(frozen=True, kw_only=True)
class Hit:
    """One answer.

    Parameters
    ----------
    score : float
        Cosine of query and answer, at most 1.
    id, modality : str
        Which value of which sample.
    value : str
        Its path, its text, or what it is in words.
    label : str or None
        Its class.
    source, split : str
        Where it is from.
    stage : str
        After which stage the vectors were made.
    """

    score: float
    id: str
    modality: str
    value: str
    label: str | None
    source: str
    split: str
    stage: str

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self)


class Searcher:
    """A run's index and what it takes to ask it; loaded once, asked often.

    Parameters
    ----------
    folder : Path
        A run folder with an index.
    stage : str, optional
        The newest indexed one by default; an older one answers as it did then.
    often : bool
        Whether many queries will come, so that an approximate index is read into memory now.

    Raises
    ------
    StateError
        There is no such index, or it is older than the run's state.
    MissingExtra
        LanceDB is not installed.
    """

    def __init__(self, folder: Path, *, stage: str | None = None, often: bool = True) -> None:
        self.table, self.indexed = open_index(folder, stage=stage)
        if often and self.indexed.approximate:
            warm(self.table)
        self.learned: Learned = load(folder, stage=self.indexed.stage, cache=Passing())
        self._warned = False

    def search(
        self, query: str | Path | Raw, *, within: str | None = None, k: int = 10, modality: str | None = None
    ) -> list[Hit]:
        """Return the k values nearest to a query, best first.

        Parameters
        ----------
        query : str, Path, bytes or array
            A text, or a file, whose kind is told by its content.
        within : str, optional
            A modality: only its values are answers.
        k : int
            How many, 1 to 1,000.
        modality : str, optional
            What the query is read as, where several modalities are of its kind ("speech" and "sound").

        Raises
        ------
        SettingsError
            A modality is unknown or has no rows, the query could be of several, or the method keeps modalities so far
            apart that every answer of another one has cosine 0.
        DataError
            The query cannot be read, or is of a kind that was not learned.
        """
        if within is not None and within not in self.indexed.modalities:
            raise SettingsError(
                f"the index of {self.learned.folder}: {unknown('modality', within, self.indexed.modalities)}"
            )
        if not 1 <= k <= MOST:
            raise SettingsError(f"k: {k} is given; accepted: 1 to {MOST:,}")
        asked = modality_of(query, self.learned) if modality is None else modality
        vector = self.embed(query, modality=asked)
        found = nearest(self.table, vector, k=k, within=within, approximate=self.indexed.approximate)
        hits = [Hit(**row) for row in found]
        self._warn_across(asked, hits)
        return hits

    def rows(self, id: str, modality: str, *, source: str | None = None) -> list[dict[str, Any]]:
        """Return what the index says of one value: nothing, or a row for each source that has it, at most two."""
        return rows_of(self.table, id=id, modality=modality, source=source)

    def _warn_across(self, asked: str, hits: list[Hit]) -> None:
        """Say that answers of other modalities mean little, where the model does not put modalities into one space."""
        model = self.learned.method.model
        across = [hit for hit in hits if hit.modality != asked]
        if not across or "space" in model.provides:
            return
        reason = (
            f"{self.learned.folder}: model {model.name!r} does not put modalities into one space, so that answers "
            f"across modalities ({asked} → {', '.join(sorted({hit.modality for hit in across}))}) mean little"
        )
        way_out = f"Models that align modalities: {', '.join(aligning())}. Within one modality: --in {asked}"
        if len(across) == len(hits) and all(abs(hit.score) < ZERO for hit in hits):
            method = self.learned.method.name
            raise SettingsError(f"{reason}; with method {method!r} every cosine is 0. {way_out}")
        if not self._warned:
            log.warning("%s. %s", reason, way_out)
        self._warned = True

    def embed(self, query: str | Path | Raw, *, modality: str | None = None) -> Array:
        """Return the vector (D,) of a query."""
        asked = modality_of(query, self.learned) if modality is None else modality
        found = self.learned.embed({asked: [query]})[asked]
        if found.rejected:
            shown = query if isinstance(query, str | Path) else "the query"
            raise DataError(f"{shown} (as {asked}): {found.rejected[0]}")
        return found.vectors[0]


def search(
    run: Path,
    query: str | Path | Raw,
    within: str | None = None,
    k: int = 10,
    *,
    modality: str | None = None,
    stage: str | None = None,
) -> list[Hit]:
    """Return the k values of a run's index nearest to a query; see `Searcher`, which answers many.

    Parameters
    ----------
    run : Path
        A run folder with an index.
    query : str, Path, bytes or array
        A text (never a file's name), or a file.
    within, modality : str, optional
        What the answers are, and what the query is.
    k : int
        How many.
    stage : str, optional
        An older stage than the newest indexed one.
    """
    return Searcher(run, stage=stage, often=False).search(query, within=within, k=k, modality=modality)


def aligning() -> list[str]:
    """Return the names of the models that put modalities into one space."""
    return [name for name in MODELS if "space" in MODELS.get(name).provides]
