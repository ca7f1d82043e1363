"""Data that are handed over in Python: a table of pandas, a data set of `datasets`, a stage."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from polymnia.data.manifest import Meaning, RowReader
from polymnia.data.modality import MODALITIES
from polymnia.data.rows import Row
from polymnia.data.samples import Samples
from polymnia.data.scenario import SCENARIOS, cut
from polymnia.data.source import Dataset, Source
from polymnia.data.sources.hugging_face import as_cells, reader_for
from polymnia.data.splits import SPLITS
from polymnia.data.stage import Card, Stage
from polymnia.data.stated import UNSTATED
from polymnia.errors import DataError
from polymnia.registry import NoSettings


class Handed(Source):
    """A data set that is there already.

    Parameters
    ----------
    dataset : Dataset
        All of it.
    """

    name = "handed"
    card = Card(title="Own data, handed over in Python", licence=UNSTATED, citation=UNSTATED)
    Settings = NoSettings

    def __init__(self, dataset: Dataset) -> None:
        super().__init__()
        self.dataset = dataset

    def load(self) -> Dataset:
        """Return it."""
        return self.dataset


def of_frame(
    frame: Any,
    *,
    folder: str | Path = ".",
    label: str = "label",
    kinds: Mapping[str, str] | None = None,
    columns: Iterable[str] = (),
) -> Dataset:
    """Return the usable rows of a table of pandas; its columns mean what those of a manifest mean.

    Parameters
    ----------
    frame : pandas.DataFrame
        The rows.
    folder : path
        What paths in it are relative to.
    label, kinds, columns
        As for the source `manifest`.

    Raises
    ------
    DataError
        It has no label column, a column that means nothing, or no usable row.
    """
    names = tuple(str(name) for name in frame.columns)
    meaning = Meaning(label=label, kinds=kinds or {}, columns=tuple(columns))
    reader = RowReader(meaning, meaning.modalities(names), Path(folder), columns=names)
    for place, cells in zip(frame.index.tolist(), frame.to_dict("records"), strict=True):
        reader.take(Row(f"row {place}", {str(name): _plain(cell) for name, cell in cells.items()}))
    return reader.dataset("the table")


def of_datasets(
    given: Any, *, label: str = "", kinds: Mapping[str, str] | None = None, columns: Iterable[str] = ()
) -> Dataset:
    """Return the usable rows of a `datasets.Dataset`, or of a `DatasetDict`, whose splits are kept.

    Parameters
    ----------
    given : datasets.Dataset or DatasetDict
        Its features of type Image, Audio and Video are modalities; nothing is decoded twice.
    label, kinds, columns
        As for the source `hugging-face`.

    Raises
    ------
    DataError
        It has no label, no modality, or no usable row.
    """
    parts = dict(given) if isinstance(given, Mapping) else {"": given}
    features = next(iter(parts.values())).features.to_dict()
    reader = reader_for(Path(), features, label=label, kinds=kinds or {}, columns=tuple(columns))
    for split, part in parts.items():
        table = part.with_format("arrow")[:]
        for number, row in enumerate(table.to_pylist()):
            reader.take(Row(f"{split or 'row'}/{number}", {"split": split, **as_cells(features, row)}))
    return reader.dataset("the data set")


def of_stage(stage: Stage, known: Mapping[str, str] | None = None) -> Dataset:
    """Return the samples of a raw stage, which stay in their splits.

    Parameters
    ----------
    stage : Stage
        Whose samples have the column `label`, or `task`, which says what is to be written about them.
    known : Mapping, optional
        Modality → kind of signal, where the name does not say it.

    Raises
    ------
    DataError
        A label is missing, or nothing tells what kind of signal a modality is.
    """
    parts = [getattr(stage, split) for split in SPLITS]
    asked = all("task" in part.columns for part in parts if len(part))
    if not asked and any("label" not in part.columns for part in parts if len(part)):
        raise DataError(
            f"stage {stage.name}: its samples have no column 'label', which holds the names of classes, and no column "
            "'task', which says what is to be written"
        )
    marked = [
        replace(part, columns={**part.columns, "split": np.full(len(part), split)})
        for split, part in zip(SPLITS, parts, strict=True)
        if len(part)
    ]
    samples = Samples.concat(marked)
    kinds = {m: kind_by_name(m, known or {}) for m in samples.values}
    if asked:
        return Dataset(
            samples=replace(samples, targets=torch.full_like(samples.targets, -1)), class_names=(), kinds=kinds
        )
    names = sorted(set(samples.columns["label"].tolist()))
    number = {name: c for c, name in enumerate(names)}
    targets = samples.targets.new_tensor([number[name] for name in samples.columns["label"].tolist()])
    return Dataset(samples=replace(samples, targets=targets), class_names=tuple(names), kinds=kinds)


def kind_by_name(modality: str, known: Mapping[str, str]) -> str:
    """Return the kind of signal of a modality: the one that is known, or the one that its name says."""
    if modality in known or modality in MODALITIES:
        return known.get(modality, modality)
    try:
        return Meaning().kind_of(modality)
    except DataError:
        raise DataError(
            f"nothing says what kind of signal {modality!r} is: give kinds={{{modality!r}: 'image'}}"
        ) from None


def as_stage(source: Source, *, name: str, valid: float, test: float, seed: int) -> Stage:
    """Return all of a source as one raw stage, with splits drawn where it has none of its own."""
    [stage] = cut(source, SCENARIOS.get("single")(seed=seed), valid=valid, test=test, least=1)
    return replace(stage, name=name)


def _plain(cell: Any) -> Any:
    """Return a cell without numpy's scalars, which a manifest has not."""
    return cell.item() if isinstance(cell, np.generic) else cell.tolist() if isinstance(cell, np.ndarray) else cell
