"""Look through a data set before anything is learned from it."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from polymnia.data.check.advice import family, problems, suggested
from polymnia.data.check.likeness import APART, alike, fingerprint
from polymnia.data.check.measures import Spread, measured
from polymnia.data.check.twins import Places, Twins, same, twins
from polymnia.data.modality import MODALITIES, Raw, digest
from polymnia.data.own import source_asked_for, source_of
from polymnia.data.source import Dataset, Source
from polymnia.data.splits import group_names
from polymnia.data.stage import Rejected
from polymnia.data.tokens import Tokens
from polymnia.errors import DataError

MOST_COMPARED = 50_000
"""Values of a modality among which nearly equal ones are looked for."""


@dataclass(frozen=True)
class Seen:
    """What was seen of one modality.

    Parameters
    ----------
    kind : str
        Of signal.
    values : int
        How many samples have one that can be read.
    missing, broken : int
        How many samples have none, and how many have one that cannot be read.
    measures : Mapping
        Name → least, middle and most.
    """

    kind: str
    values: int
    missing: int
    broken: int
    measures: Mapping[str, Spread] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Check:
    """What is in a data set, what is wrong with it, and how it may be cut into a stream.

    Parameters
    ----------
    source : Mapping
        The source that reads it, with its settings.
    samples : int
        Usable ones.
    modalities : Mapping
        Modality → what was seen of it.
    classes, splits : Mapping
        Class or split → samples; no splits where none are given.
    columns : tuple of str
        What else is known of samples.
    same : Twins
        Samples whose every value has the same content as another's.
    near : Mapping
        Modality → samples with nearly the same picture, video or sound as another's, of which not all is the same;
        texts are compared where there is nothing else.
    rejected : tuple of Rejected
        Every row or value that cannot be used, and why.
    stream : Mapping
        Suggested settings of a stream.
    model : Mapping
        Settings of a family that can learn it; empty where the default one can.
    why : str
        Why these.
    """

    source: Mapping[str, Any]
    samples: int
    modalities: Mapping[str, Seen]
    classes: Mapping[str, int]
    splits: Mapping[str, int]
    columns: tuple[str, ...]
    same: Twins
    near: Mapping[str, Twins]
    rejected: tuple[Rejected, ...]
    stream: Mapping[str, Any]
    model: Mapping[str, Any]
    why: str

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong or may mislead, the worst first."""
        return problems(self)

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON."""
        return {**asdict(self), "problems": list(self.problems)}


def check(
    data: str | Path | Source,
    *,
    progress: Callable[[str, int, int], None] = lambda modality, done, total: None,
    **settings: Any,
) -> Check:
    """Read every value of a data set once, and return what is in it and what is wrong with it.

    Parameters
    ----------
    data : path, str or Source
        A manifest, a folder a class, what `datasets` wrote; a settings file; the name of a source; a source.
    progress : callable
        Gets (modality, done, total).
    **settings
        Of the source: `label`, `kinds`, `columns`, …

    Raises
    ------
    DataError
        There is no usable sample.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "data.csv"
    >>> _ = path.write_text("caption,label\\nmeows,cat\\nMeows!,dog\\nbarks,dog\\nbarks,dog\\n")
    >>> found = check(path)
    >>> found.classes, found.same.samples, found.near["caption"].conflicting
    ({'cat': 1, 'dog': 3}, 1, 1)
    """
    source = data if isinstance(data, Source) else source_of(source_asked_for(str(data)) | settings)
    dataset = source.load()
    looked = _Looked(dataset)
    for modality in dataset.kinds:
        looked.at(modality, progress)
    samples = dataset.samples
    places = Places(samples.ids, samples.columns, group_names(samples))
    exact = same(looked.content)
    stream, why = suggested(dataset)
    names = [dataset.class_names[target] for target in samples.targets.tolist() if target >= 0]
    return Check(
        source={"name": source.name, **asdict(source.settings)},
        samples=len(samples) - len(looked.unusable),
        modalities=looked.seen,
        classes={name: Counter(names)[name] for name in dataset.class_names},
        splits=dict(Counter(part for part in samples.columns.get("split", ()) if part)),
        columns=tuple(name for name in samples.columns if name not in ("label", "split")),
        same=twins(exact, places),
        near={m: twins((pair for pair in pairs if pair not in exact), places) for m, pairs in looked.alike().items()},
        rejected=(*dataset.rejected, *looked.rejected),
        stream={"name": source.name, **_chosen(source), **stream},
        model=family(dataset),
        why=why,
    )


def _chosen(source: Source) -> dict[str, Any]:
    """Return the settings of a source that are not its defaults."""
    given = source.settings
    return {f.name: getattr(given, f.name) for f in fields(given) if getattr(given, f.name) != _default(f)}


def _default(field: Any) -> Any:
    return field.default_factory() if field.default_factory is not MISSING else field.default


class _Looked:
    """Goes through the values of a data set, one modality after another."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset, self.samples = dataset, dataset.samples
        self.seen: dict[str, Seen] = {}
        self.rejected: list[Rejected] = []
        self.unusable: set[int] = set()
        self._content: dict[int, set[tuple[str, str]]] = {}
        self._prints: dict[str, list[Any]] = {}

    @property
    def content(self) -> Mapping[int, frozenset[tuple[str, str]]]:
        """Row → (modality, digest) of its values, for rows of which all can be read."""
        return {row: frozenset(held) for row, held in sorted(self._content.items()) if row not in self.unusable}

    def at(self, modality: str, progress: Callable[[str, int, int], None]) -> None:
        """Read the values of a modality."""
        kind, column = self.dataset.kinds[modality], self.samples.values[modality]
        assert not isinstance(column, Tokens), "a source gives raw values"
        reader = MODALITIES.get(kind)()
        rows = self.samples.present[modality].nonzero().flatten().tolist()
        measures: dict[str, list[float]] = {}
        prints: list[Any] = [None] * len(self.samples)
        broken = 0
        for done, row in enumerate(rows, start=1):
            value: Raw = column[row]
            try:
                read, sum_ = reader.read(value), digest(value)
            except DataError as error:
                broken += 1
                self.unusable.add(row)
                self.rejected.append(Rejected(str(self.samples.ids[row]), modality, str(value)[:200], str(error)))
                continue
            for name, measure in measured(kind, read).items():
                measures.setdefault(name, []).append(measure)
            prints[row] = fingerprint(kind, read) if done <= MOST_COMPARED else None
            self._content.setdefault(row, set()).add((modality, sum_))
            progress(modality, done, len(rows))
        self._prints[modality] = prints
        spreads = {name: Spread.of(values) for name, values in measures.items()}
        self.seen[modality] = Seen(kind, len(rows) - broken, len(self.samples) - len(rows), broken, spreads)

    def alike(self) -> dict[str, set[tuple[int, int]]]:
        """Return by modality pairs of rows with nearly the same value; modalities without any are left out."""
        found: dict[str, set[tuple[int, int]]] = {}
        for modality, prints in self._prints.items():
            kind = self.dataset.kinds[modality]
            if kind in APART or (kind == "text" and len(self._prints) == 1):
                pairs = set(alike(kind, prints))
                if pairs:
                    found[modality] = pairs
        return found
