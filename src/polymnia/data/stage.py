"""Stages and streams: what arrives at once, and in which order."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn, Self

from polymnia.data.samples import Samples
from polymnia.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Outline:
    """What a stage is, without its samples: all that a model needs to grow by it.

    Parameters
    ----------
    index : int
        Place in the stream, from 0.
    name : str
        Unique in the stream.
    task : str
        What is to be produced: "classification", "pairing", "captioning", "answering", "generation".
    modalities : tuple of str
        What its samples may hold, sorted.
    classes : tuple of int
        Class indices in its training samples, sorted; indices follow the order of arrival.
    widths : Mapping
        Modality → width of its tokens; empty before encoding.
    """

    index: int
    name: str
    task: str = "classification"
    modalities: tuple[str, ...] = ()
    classes: tuple[int, ...] = ()
    widths: Mapping[str, int] = field(default_factory=dict)

    def outline(self) -> "Outline":
        """Return the outline alone."""
        return Outline(**{f.name: getattr(self, f.name) for f in fields(Outline)})

    def to_json(self) -> dict[str, Any]:
        """Return the outline as JSON."""
        return {"index": self.index, "name": self.name, "task": self.task, "modalities": self.modalities,
                "classes": self.classes, "widths": dict(self.widths)}  # fmt: skip

    @cached_property
    def line(self) -> str:
        """The outline as a line of JSON; made once, for each state of a long run has the outlines of all its stages."""
        return json.dumps(self.outline().to_json())

    @classmethod
    def from_line(cls, line: str) -> "Outline":
        """Return the outline of a `line`."""
        data = json.loads(line)
        return Outline(
            index=data["index"],
            name=data["name"],
            task=data["task"],
            modalities=tuple(data["modalities"]),
            classes=tuple(data["classes"]),
            widths=data["widths"],
        )


@dataclass(frozen=True, kw_only=True)
class Stage(Outline):
    """What arrives at once.

    Parameters
    ----------
    train, valid, test : Samples
        Disjoint in samples and in groups.
    earlier : sequence of Stage
        The stages before it; only methods that are not bound by forgetting (joint) may look.
    """

    train: Samples = field(repr=False)
    valid: Samples = field(repr=False)
    test: Samples = field(repr=False)
    earlier: Sequence["Stage"] = field(default=(), repr=False)

    @classmethod
    def from_manifest(
        cls, path: str | Path, *, name: str = "", valid: float = 0.1, test: float = 0.2, seed: int = 0, **settings: Any
    ) -> "Stage":
        """Return own data as one raw stage: a manifest, a folder a class, or what `datasets` wrote.

        Parameters
        ----------
        path : path
            The file or folder.
        name : str
            Of the stage; that of the file by default.
        valid : float
            Share of the samples to validate by, where the data has no splits of its own.
        test : float
            Share of the samples to test by, likewise.
        seed : int
            Draws the splits.
        **settings
            Of the source: `label`, `kinds`, `columns`.
        """
        from polymnia.data.handed import as_stage
        from polymnia.data.own import source_asked_for, source_of

        source = source_of(source_asked_for(str(path)) | settings)
        return as_stage(source, name=name or Path(path).stem, valid=valid, test=test, seed=seed)

    @classmethod
    def from_dataframe(
        cls, frame: Any, *, name: str, valid: float = 0.1, test: float = 0.2, seed: int = 0, **settings: Any
    ) -> "Stage":
        """Return a table of pandas as one raw stage; its columns mean what those of a manifest mean.

        Parameters
        ----------
        frame : pandas.DataFrame
            The rows.
        name : str
            Of the stage; `valid`, `test` and `seed` are as for `from_manifest`.
        **settings
            `folder` (what paths are relative to), `label`, `kinds`, `columns`.
        """
        from polymnia.data.handed import Handed, as_stage, of_frame

        return as_stage(Handed(of_frame(frame, **settings)), name=name, valid=valid, test=test, seed=seed)

    @classmethod
    def from_datasets(
        cls, given: Any, *, name: str, valid: float = 0.1, test: float = 0.2, seed: int = 0, **settings: Any
    ) -> "Stage":
        """Return a data set of `datasets` as one raw stage.

        Parameters
        ----------
        given : datasets.Dataset or DatasetDict
            The rows; a DatasetDict's splits are kept.
        name : str
            Of the stage; `valid`, `test` and `seed` are as for `from_manifest`.
        **settings
            `label`, `kinds`, `columns`.
        """
        from polymnia.data.handed import Handed, as_stage, of_datasets

        return as_stage(Handed(of_datasets(given, **settings)), name=name, valid=valid, test=test, seed=seed)

    def sealed(self) -> Self:
        """Return the stage for those who may open its own data only: `earlier` raises DataError when it is opened."""
        return replace(self, earlier=Sealed(self.name, len(self.earlier)))

    def __post_init__(self) -> None:
        if not len(self.train):
            raise DataError(f"stage {self.index} ({self.name}) has no training samples")

    @property
    def sizes(self) -> dict[str, int]:
        """How many samples each split has."""
        return {"train": len(self.train), "valid": len(self.valid), "test": len(self.test)}


@dataclass(frozen=True, kw_only=True)
class Kept(Stage):
    """A stage that was learned, of which the test set is kept and the rest is gone.

    Parameters
    ----------
    had : Mapping
        How many samples each split had.
    """

    had: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Accept it without training samples."""

    @property
    def sizes(self) -> dict[str, int]:
        """How many samples each split had."""
        return dict(self.had)


class Sealed(Sequence[Stage]):
    """Earlier stages that may be counted and not opened."""

    def __init__(self, stage: str, count: int) -> None:
        self.stage, self._length = stage, count

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: Any) -> NoReturn:
        raise DataError(
            f"stage {self.stage} may open its own samples only, and an earlier stage's were asked for. A method that "
            "has to keep every sample says so with `looks_back = True`"
        )


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a data set or encoder is, whose it is and how it may be used."""

    title: str
    licence: str
    citation: str
    homepage: str = ""
    notes: str = ""
    get: str = ""
    """What to do when it is not there yet."""


@dataclass(frozen=True)
class Rejected:
    """A sample that was set aside, and why.

    `broken` tells what could not be read or understood from what is whole but fits no stage; only the former counts
    towards the share at which a run refuses to go on.
    """

    id: str
    modality: str
    value: str
    reason: str
    broken: bool = True


@dataclass(frozen=True, kw_only=True)
class Stream:
    """Stages in order.

    Parameters
    ----------
    name, scenario : str
        The source, and how it was cut.
    stages : tuple of Stage
        In order of arrival.
    kinds : Mapping
        Modality → kind of signal; "speech" and "sound" are two modalities of the kind "audio".
    class_names : tuple of str
        By class index.
    card : Card
        Licence and citation of the source.
    rejected : tuple of Rejected
        What was set aside on the way.
    settings : Mapping
        What it was built from, when it was built from settings: a run needs it to build the stream again.
    """

    name: str
    scenario: str
    stages: tuple[Stage, ...]
    kinds: Mapping[str, str]
    class_names: tuple[str, ...]
    card: Card
    rejected: tuple[Rejected, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.stages)

    def __iter__(self) -> Iterator[Stage]:
        return iter(self.stages)

    def __getitem__(self, index: int) -> Stage:
        return self.stages[index]
