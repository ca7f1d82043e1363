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
from polymnia.serving.nearest import beside, nearest, rows_of, warm
from polymnia.serving.table import open_index

log = logging.getLogger(__name__)

MOST = 1000
"""Largest number of hits."""
WIDER = 5
"""How many times more are looked at where only some samples may have what is asked for."""
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
    through : str or None
        A modality: the score is that of the same sample's value of it, for the model has no space of both. None: the
        score is of the value itself.
    """

    score: float
    id: str
    modality: str
    value: str
    label: str | None
    source: str
    split: str
    stage: str
    through: str | None = None

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

        Where the model does not put modalities into one space, values of another modality than the query's are found
        through the samples that have both: by what is like the query in its own modality.

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
            A modality is unknown or has no rows, the query could be of several, or no sample has both modalities and
            the method keeps them so far apart that every answer has cosine 0.
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
        hits = self._through(vector, asked, within, k) if self._apart(asked, within) else []
        if not hits:
            found = nearest(self.table, vector, k=k, within=within, approximate=self.indexed.approximate)
            hits = [Hit(**row) for row in found]
        self._warn_across(asked, hits)
        return hits

    def _apart(self, asked: str, within: str | None) -> bool:
        """Return whether answers are of another modality than the query, and the model has no space of both."""
        other = within not in (None, asked) and asked in self.indexed.modalities
        return other and "space" not in self.learned.method.model.provides

    def _through(self, vector: Array, asked: str, within: str | None, k: int) -> list[Hit]:
        """Return values of the samples whose value of the query's modality is nearest."""
        assert within is not None
        approximate = self.indexed.approximate
        like = nearest(self.table, vector, k=min(MOST, WIDER * k), within=asked, approximate=approximate)
        others = beside(self.table, [row["id"] for row in like], modality=within)
        hits = []
        for row in like:
            if (other := others.get((row["source"], row["id"]))) is not None:
                hits.append(Hit(**{**other, "score": row["score"]}, through=asked))
        return hits[:k]

    def rows(self, id: str, modality: str) -> list[dict[str, Any]]:
        """Return what the index says of one value: nothing, or a row for each source that has it."""
        return rows_of(self.table, id=id, modality=modality)

    def _warn_across(self, asked: str, hits: list[Hit]) -> None:
        """Say that answers of other modalities mean little, where the model does not put modalities into one space."""
        model = self.learned.method.model
        across = [hit for hit in hits if hit.modality != asked]
        if not across or "space" in model.provides:
            return
        found = ", ".join(sorted({hit.modality for hit in across}))
        reason = (
            f"{self.learned.folder}: model {model.name!r} does not put modalities into one space, so that answers "
            f"across modalities ({asked} → {found}) "
        )
        way_out = f"Models that align modalities: {', '.join(aligning())}. Within one modality: --in {asked}"
        if across[0].through:
            reason += f"are found by the {asked} of the same samples"
        else:
            reason += "mean little"
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
