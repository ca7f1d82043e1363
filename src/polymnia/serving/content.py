"""What an index is made of: the run's own stream, or any other data, as rows to be embedded."""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from polymnia.config import part, whole
from polymnia.data.own import source_asked_for, source_name
from polymnia.data.samples import Column, Samples
from polymnia.data.source import SOURCES, Dataset
from polymnia.data.stage import Stream
from polymnia.data.tokens import Tokens
from polymnia.errors import DataError
from polymnia.training.build import build_stream
from polymnia.training.settings import RunSettings

Key = tuple[str, str, str]
"""Source, sample and modality: what makes a row of an index that row."""
SHOWN = 1000
"""Characters of a text that are kept for display."""


@dataclass(frozen=True, eq=False)
class Lot:
    """Samples of one source and one split.

    Parameters
    ----------
    source, split : str
        Where they are from.
    samples : Samples
        Raw.
    kinds : Mapping
        Modality → kind of signal.
    class_names : tuple of str
        By target.
    """

    source: str
    split: str
    samples: Samples
    kinds: Mapping[str, str]
    class_names: tuple[str, ...]

    def rows(self, modality: str, known: Set[Key]) -> list[int]:
        """Return the rows that have the modality and are not known yet."""
        there = self.samples.present[modality].nonzero().flatten().tolist()
        return [row for row in there if self.key(row, modality) not in known]

    def key(self, row: int, modality: str) -> Key:
        """Return what makes a row of an index that row."""
        return self.source, str(self.samples.ids[row]), modality

    def values(self, modality: str, rows: Sequence[int]) -> Column:
        """Return the raw values of some rows."""
        column = self.samples.values[modality]
        at = np.array(rows, dtype=np.int64)
        return column.subset(torch.from_numpy(at)) if isinstance(column, Tokens) else column[at]

    def shown(self, row: int, modality: str) -> str:
        """Return a path, a text, or in words what a value is."""
        column = self.samples.values[modality]
        return "" if isinstance(column, Tokens) else displayed(column[row])

    def label(self, row: int) -> str | None:
        """Return the name of a row's class, or None where it has none."""
        target = int(self.samples.targets[row])
        if target >= 0:
            return self.class_names[target]
        return str(self.samples.columns["label"][row]) or None if "label" in self.samples.columns else None


def displayed(value: Any) -> str:
    """Return what a person is shown of a raw value.

    Examples
    --------
    >>> displayed("a frog"), displayed(np.zeros((2, 3), np.float32)), displayed(b"abc")
    ('a frog', 'float32 (2, 3)', '3 bytes')
    """
    if isinstance(value, Path):
        return str(value.absolute())
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    return f"{value.dtype} {value.shape}" if hasattr(value, "dtype") else str(value)[:SHOWN]


def own_data(settings: RunSettings) -> Stream:
    """Return the raw stream that a run learned from."""
    return build_stream(settings.stream, seed=settings.seed)


def lots(data: Stream | Dataset, *, name: str, stages: int) -> Iterator[Lot]:
    """Yield what is to be indexed: of a stream the test and training samples of its first stages, else everything.

    Parameters
    ----------
    data : Stream or Dataset
        Raw.
    name : str
        Of a data set; a stream has its own.
    stages : int
        How many stages have arrived.
    """
    if isinstance(data, Dataset):
        yield Lot(name, "", data.samples, data.kinds, data.class_names)
        return
    for stage in data.stages[:stages]:
        for split in ("test", "train"):
            samples = getattr(stage, split)
            if len(samples):
                yield Lot(source_name(data.settings) or data.name, split, samples, data.kinds, data.class_names)


def read_data(given: str, settings: Sequence[str] = ()) -> tuple[str, Dataset]:
    """Return the name and the samples of data that a user names; see `source_asked_for`.

    Raises
    ------
    SettingsError
        It names no data, or a setting is wrong.
    DataError
        The data cannot be read.
    """
    mapping = source_asked_for(given, settings)
    return source_name(mapping), load_source(mapping)


def load_source(mapping: Mapping[str, Any]) -> Dataset:
    """Return the samples of a source, given its name and settings; at least one."""
    kind, own = part(SOURCES, mapping, "--data")
    dataset: Dataset = kind(own).load()
    if not len(dataset.samples):
        raise DataError(f"--data: {source_name(mapping)} has no samples")
    return dataset


def whole_settings(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """Return a source's name and all its settings, those left at their defaults too."""
    return whole(SOURCES, mapping, "--data") or {}
