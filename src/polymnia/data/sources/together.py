"""`together`: several data sets as one, so that one stream can go from one to the next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from polymnia.config import part
from polymnia.data.modality import Array
from polymnia.data.samples import Samples
from polymnia.data.source import SOURCES, Dataset, Source, register
from polymnia.data.stage import Card
from polymnia.errors import SettingsError, unknown

OWN = ("called", "rename")
"""What an entry may say beside its source's name and settings."""


@register("together")
class Together(Source):
    """The samples of several sources, one source after another; what a source does not have is missing there.

    A sample's id is "stamps/animals/cow", after what its source is `called` (its name, unless the entry says
    otherwise). Classes are "stamps/animals"; with `merge_classes`, classes of the same name are one. Groups are parted
    by the source's name, so that one source that comes twice (in two languages) keeps its groups together. Other
    columns are kept, empty where a source has none; the column `source` says whose a sample is.

    Examples
    --------
    >>> digits = {"name": "digits", "rename": {"pixels": "image"}}
    >>> patterns = {"name": "patterns", "train_samples": 8, "test_samples": 4}
    >>> Together(Together.Settings(sources=(digits, patterns))).load().kinds
    {'audio': 'table', 'image': 'table', 'projections': 'table', 'spectrum': 'table', 'video': 'table'}
    """

    card = Card(
        title="Several data sets as one",
        licence="those of the data sets",
        citation="those of the data sets",
        get="name them: sources: [{name: stamps}, {name: furniture, modalities: [points, text]}]",
    )

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """Which sources, with which settings."""

        sources: tuple[Mapping[str, Any], ...] = field(default=())
        """Each with its `name`, its settings, and optionally `called` and `rename` (modality → new name)."""
        merge_classes: bool = False
        """Classes of the same name are one class; otherwise each is its source's own."""

    settings: Settings

    def __init__(self, settings: Any = None) -> None:
        super().__init__(settings)
        self.members = [_Member.of(at, entry) for at, entry in enumerate(self.settings.sources)]
        if not self.members:
            raise SettingsError(f"stream.sources is empty; {self.card.get}")
        names = [member.called for member in self.members]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise SettingsError(f"stream.sources: {twice!r} comes twice; tell the two apart with `called`")
        vars(self)["card"] = _card([member.source.card for member in self.members])  # the class's speaks of none

    @classmethod
    def available(cls) -> bool:
        """Return False: without sources there is nothing."""
        return False

    def load(self) -> Dataset:
        """Return every source's samples.

        Raises
        ------
        SettingsError
            A renamed modality is not there, or two sources use one name for two kinds of signal.
        """
        loaded = [member.load() for member in self.members]
        kinds: dict[str, str] = {}
        for member, dataset in zip(self.members, loaded, strict=True):
            for modality, kind in dataset.kinds.items():
                if kinds.setdefault(modality, kind) != kind:
                    raise SettingsError(
                        f"stream.sources: {modality!r} is {kinds[modality]} in one source and {kind} in "
                        f"{member.called!r}; give it another name there: rename: {{{modality}: …}}"
                    )
        classes = tuple(
            dict.fromkeys(name for m, d in zip(self.members, loaded, strict=True) for name in self._named(m, d))
        )
        parts = [self._prefixed(m, d, classes) for m, d in zip(self.members, loaded, strict=True)]
        rejected = tuple(
            replace(left, id=f"{member.called}/{left.id}")
            for member, dataset in zip(self.members, loaded, strict=True)
            for left in dataset.rejected
        )
        return Dataset(
            samples=concatenated(parts), class_names=classes, kinds=dict(sorted(kinds.items())), rejected=rejected
        )

    def _named(self, member: "_Member", dataset: Dataset) -> list[str]:
        """Return a source's class names as they are here."""
        return [name if self.settings.merge_classes else f"{member.called}/{name}" for name in dataset.class_names]

    def _prefixed(self, member: "_Member", dataset: Dataset, classes: Sequence[str]) -> Samples:
        """Return a source's samples with ids, groups and targets as they are here."""
        samples, n = dataset.samples, len(dataset.samples)
        names = self._named(member, dataset)
        number = torch.tensor([*(classes.index(name) for name in names), -1])
        group = samples.columns.get("group", np.full(n, ""))
        own = np.where(group == "", np.char.add("id:", samples.ids), np.char.add("group:", group))
        columns = {
            **samples.columns,
            "group": np.char.add(f"{member.source.name}/", own),
            "source": np.full(n, member.called),
        }
        ids = np.char.add(f"{member.called}/", samples.ids)
        return Samples(ids, samples.values, samples.present, number[samples.targets], columns)


@dataclass(frozen=True)
class _Member:
    """One of the sources, what it is called here, and which of its modalities are called something else."""

    source: Source
    called: str
    rename: Mapping[str, str]

    @classmethod
    def of(cls, at: int, entry: Mapping[str, Any]) -> "_Member":
        where = f"stream.sources.{at}"
        kind, settings = part(SOURCES, {k: v for k, v in entry.items() if k not in OWN}, where)
        called, rename = entry.get("called", kind.name), entry.get("rename") or {}
        if not isinstance(called, str) or not called:
            raise SettingsError(f"{where}.called: {called!r} is given, and a name is needed")
        if not isinstance(rename, Mapping) or not all(isinstance(name, str) and name for name in rename.values()):
            raise SettingsError(f"{where}.rename: {rename!r} is given, and a mapping of modality to name is needed")
        return cls(kind(settings), called, rename)

    def load(self) -> Dataset:
        """Return the source's data with its modalities renamed."""
        dataset = self.source.load()
        strange = [m for m in self.rename if m not in dataset.kinds]
        if strange:
            told = unknown("modality", str(strange[0]), dataset.kinds)
            raise SettingsError(f"stream.sources: {self.called}.rename: {told}")
        name = {m: self.rename.get(m, m) for m in dataset.kinds}
        if len(set(name.values())) < len(name):
            raise SettingsError(f"stream.sources: {self.called}.rename makes two modalities one: {name}")
        samples = dataset.samples
        renamed = replace(
            samples,
            values={name[m]: column for m, column in samples.values.items() if m in name},
            present={name[m]: mask for m, mask in samples.present.items() if m in name},
        )
        return replace(dataset, samples=renamed, kinds={name[m]: kind for m, kind in dataset.kinds.items()})


def concatenated(parts: Sequence[Samples]) -> Samples:
    """Return the raw samples of all parts, one part after another; what a part has no column for is missing there."""
    names = sorted({m for part in parts for m in part.values})
    columns = sorted({c for part in parts for c in part.columns})
    return Samples(
        np.concatenate([part.ids for part in parts]),
        {m: _column([part.values.get(m) for part in parts], [len(part) for part in parts]) for m in names},
        {
            m: torch.cat([part.present.get(m, torch.zeros(len(part), dtype=torch.bool)) for part in parts])
            for m in names
        },
        torch.cat([part.targets for part in parts]),
        {c: np.concatenate([part.columns.get(c, np.full(len(part), "")) for part in parts]) for c in columns},
    )


def _column(given: Sequence[Any], lengths: Sequence[int]) -> Array:
    """Return one column of columns: of numbers where all are alike, else of objects."""
    there = [column for column in given if column is not None]
    alike = len({(column.dtype, column.shape[1:]) for column in there}) == 1 and there[0].dtype != object
    whole: NDArray[Any] = (
        np.zeros((sum(lengths), *there[0].shape[1:]), there[0].dtype) if alike else np.empty(sum(lengths), object)
    )
    start = 0
    for column, length in zip(given, lengths, strict=True):
        if column is not None and alike:
            whole[start : start + length] = column
        elif column is not None:
            for row in range(length):
                whole[start + row] = column[row]
        start += length
    return whole


def _card(cards: Sequence[Card]) -> Card:
    """Return one card that says what each of the others says."""
    unlike = list(dict.fromkeys(cards))
    return Card(
        title="; ".join(card.title for card in unlike),
        licence="; ".join(f"{card.licence} ({card.title})" for card in unlike),
        citation=" ".join(card.citation for card in unlike),
        homepage=" ".join(card.homepage for card in unlike if card.homepage),
        notes=" ".join(card.notes for card in unlike if card.notes),
        get="; ".join(card.get for card in unlike if card.get),
    )
