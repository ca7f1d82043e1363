"""From a manifest's rows to samples: what a column means, and why a row is set aside."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from polymnia.data.modality import MODALITIES, Raw, as_array
from polymnia.data.rows import Row
from polymnia.data.samples import Sample, Samples
from polymnia.data.source import Dataset
from polymnia.data.stage import Rejected
from polymnia.data.wording import ANSWERING, CAPTIONING, asked
from polymnia.errors import DataError, nearest

KNOWN = ("split", "stage", "domain", "group")
"""Columns that scenarios understand."""

SAYS = ("answer", "question", "references")
"""Columns of a manifest of texts to be written: what is right, what is asked, and all that is right (a JSON list)."""

KINDS = {
    "image": ("image", "photo", "picture", "icon", "drawing"),
    "audio": ("audio", "speech", "sound", "voice", "music"),
    "text": ("text", "caption", "title", "description", "sentence"),
    "video": ("video", "clip"),
    "motion": ("motion", "imu", "inertial", "accelerometer", "gyroscope"),
    "point-cloud": ("point-cloud", "point_cloud", "points", "mesh"),
    "table": ("table", "features", "pixels"),
}
"""Kind of signal ← column names that mean it without being told."""

SPLITS = {"train": "train", "valid": "valid", "test": "test", "validation": "valid", "val": "valid", "dev": "valid"}


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """What the columns of a manifest mean; see the settings of the source `manifest`."""

    label: str = "label"
    kinds: Mapping[str, str] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    text_paths: tuple[str, ...] = ()
    inside: bool = False

    def modalities(self, names: tuple[str, ...]) -> dict[str, str]:
        """Return column → kind of signal, once the meaning of every column is known.

        Raises
        ------
        DataError
            There is no label column or no modality, a column means nothing, or one that is spoken of is not there.
        """
        all_of_them = f"Its columns: {', '.join(names)}"
        if self.label not in names and not self.says(names) and not self.pairs(names):
            guess = nearest(self.label, names)
            hint = f" Did you mean label={guess!r}?" if guess else ""
            raise DataError(
                f"has no column {self.label!r}, which holds the class, and none {SAYS[0]!r}, which holds a text to be "
                f"written, and no two modalities that belong together.{hint} {all_of_them}"
            )
        for spoken_of in sorted({*self.kinds, *self.columns, *self.text_paths} - set(names)):
            raise DataError(f"has no column {spoken_of!r}{_near(spoken_of, names)} {all_of_them}")
        other = {*self._other, *(SAYS if self.says(names) else ())}
        kinds = {name: self.kind_of(name) for name in names if name not in other}
        if not kinds:
            raise DataError(f"has no column for a modality. {all_of_them}")
        return kinds

    @property
    def _other(self) -> set[str]:
        return {self.label, "id", *KNOWN, *self.columns}

    def says(self, names: Iterable[str]) -> bool:
        """Return whether rows hold texts to be written in place of classes."""
        held = set(names)
        return SAYS[0] in held and self.label not in held

    def pairs(self, names: Iterable[str]) -> bool:
        """Return whether rows hold modalities that belong together, and nothing more is said of them."""
        held = set(names)
        modalities = [name for name in held if name in self.kinds or self.names_kind(name)]
        return len(modalities) > 1 and self.label not in held and SAYS[0] not in held

    @staticmethod
    def names_kind(column: str) -> bool:
        """Return whether a column's name tells its kind of signal."""
        return any(column.lower() in names for names in KINDS.values())

    def kind_of(self, column: str) -> str:
        """Return a column's kind of signal: the one that was said, or the one that its name tells.

        Raises
        ------
        DataError
            Neither tells, or there is no such kind.
        """
        named = {name: kind for kind, names in KINDS.items() for name in names}
        kind = self.kinds.get(column, named.get(column.lower()))
        if kind is None:
            raise DataError(
                f"column {column!r} is neither a modality nor anything else known"
                f"{_near(column, [*named, *KNOWN, 'id', self.label])} If it is a modality, say its kind: "
                f"kinds={{{column}: image}} ({', '.join(KINDS)}). If it is not, carry it along: columns=[{column}]"
            )
        if kind not in MODALITIES:
            accepted = MODALITIES.names()
            raise DataError(f"no such kind of signal: {kind!r}{_near(kind, accepted)} Accepted: {', '.join(accepted)}")
        return kind


class RowReader:
    """Turns rows into samples with their labels, and sets aside those that cannot be one."""

    def __init__(
        self, meaning: Meaning, kinds: Mapping[str, str], folder: Path, *, columns: Iterable[str] = ()
    ) -> None:
        self.meaning = meaning
        self.says, self.pairs = meaning.says(columns), meaning.pairs(columns)
        self.kinds = kinds
        self.folder = folder
        self.samples: list[Sample] = []
        self.labels: list[str] = []
        self.rejected: list[Rejected] = []
        self._ids: set[str] = set()

    def take(self, row: Row) -> None:
        """Add one row to the samples, or to the rejected."""
        name = _plain(row.cells.get("id")) or row.place
        try:
            if row.broken:
                raise _Broken(row.broken)
            if name in self._ids:
                raise _Broken(f"has the id {name!r} of an earlier row ({row.place})")
            values = self._values(row.cells)
            label, right = self._right(row.cells, values)
            sample = Sample(name, values, columns=self._columns(row.cells) | right)
        except _Broken as broken:
            self.rejected.append(Rejected(name, broken.modality, broken.value[:200], str(broken)))
            return
        self._ids.add(name)
        self.samples.append(sample)
        self.labels.append(label)

    def dataset(self, where: str | Path) -> Dataset:
        """Return what was taken as a data set; class names are sorted, whole numbers by value.

        Raises
        ------
        DataError
            No row could be used.
        """
        if not self.samples:
            first = f" First: {self.rejected[0].id}: {self.rejected[0].reason}" if self.rejected else ""
            raise DataError(f"{where} has no usable row ({len(self.rejected)} set aside).{first}")
        names = sorted({label for label in self.labels if label}, key=natural)
        number = {"": -1, **{name: c for c, name in enumerate(names)}}
        samples = Samples.of(
            [replace(s, target=number[label]) for s, label in zip(self.samples, self.labels, strict=True)]
        )
        return Dataset(
            samples=samples,
            class_names=tuple(names),
            kinds={m: self.kinds[m] for m in samples.values},
            rejected=tuple(self.rejected),
        )

    def _right(self, cells: Mapping[str, Any], values: Mapping[str, Raw]) -> tuple[str, dict[str, str]]:
        """Return a row's class, or "" where there is none, and the columns that say what is right."""
        if self.pairs:
            return "", {}
        if not self.says:
            label = _plain(cells.get(self.meaning.label))
            if not label:
                raise _Broken(f"has no label (column {self.meaning.label!r})")
            return label, {"label": label}
        answer, question, others = (_plain(cells.get(name)) for name in SAYS)
        if not answer:
            raise _Broken(f"has nothing to be said (column {SAYS[0]!r})")
        task = ANSWERING if question else CAPTIONING
        right = {"answer": answer, "references": _listed(others or json.dumps([answer]))}
        return "", {"task": task, "prompt": asked(task, next(iter(values)), question), **right}

    def _columns(self, cells: Mapping[str, Any]) -> dict[str, str]:
        columns = {c: _plain(cells.get(c)) for c in (*KNOWN, *self.meaning.columns) if c in cells}
        if columns.get("split"):
            given = columns["split"]
            if given.lower() not in SPLITS:
                raise _Broken(f"has split {given!r}; accepted: train, valid, test, or nothing")
            columns["split"] = SPLITS[given.lower()]
        return columns

    def _values(self, cells: Mapping[str, Any]) -> dict[str, Raw]:
        values: dict[str, Raw] = {}
        for modality, kind in self.kinds.items():
            cell = cells.get(modality)
            if cell is None or (isinstance(cell, str) and not cell.strip()) or _is_nan(cell):
                continue
            try:
                values[modality] = self._value(cell, kind, modality)
            except DataError as error:
                raise _Broken(str(error), modality, str(cell)) from None
        if not values:
            raise _Broken("has no modality: every cell of " + ", ".join(self.kinds) + " is empty")
        return values

    def _value(self, cell: Any, kind: str, modality: str) -> Raw:
        if isinstance(cell, bytes):
            return cell
        if isinstance(cell, str):
            return cell if kind == "text" and modality not in self.meaning.text_paths else self._path(cell.strip())
        if isinstance(cell, list):
            return as_array(cell)
        accepted = "a text" if kind == "text" else "a path, bytes or a list of numbers"
        raise DataError(f"is of type {type(cell).__name__}; {accepted} is needed")

    def _path(self, cell: str) -> Path:
        if "://" in cell:
            raise DataError("is an address; fetch the file first and give its path")
        path = self.folder / cell
        try:
            there = path.is_file()
            real = path.resolve()
        except (OSError, ValueError, RuntimeError) as error:  # names that are too long or hold a null byte, link loops
            raise DataError(f"is not a usable path: {error}") from None
        if self.meaning.inside and not real.is_relative_to(self.folder.resolve()):
            raise DataError("lies outside the manifest's folder, and `inside` is set")
        if not there:
            raise DataError(
                f"cannot read {path}: " + ("it is not a file" if path.exists() else "there is no such file")
            )
        return path


class _Broken(Exception):
    """Why a row is set aside, and which cell it is about."""

    def __init__(self, reason: str, modality: str = "", value: str = "") -> None:
        super().__init__(reason)
        self.modality = modality
        self.value = value


def _plain(cell: Any) -> str:
    """Return a cell as text; nothing and NaN are empty, and 3.0 is 3, because Parquet from pandas has it so."""
    if cell is None or _is_nan(cell):
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip()


def _listed(cell: str) -> str:
    """Return a JSON list of texts as it was given."""
    try:
        found = json.loads(cell)
    except ValueError:
        found = None
    if not isinstance(found, list) or not found or not all(isinstance(one, str) and one.strip() for one in found):
        raise _Broken(f'has references {cell[:80]!r}; a JSON list of texts is needed, such as ["a dog", "a puppy"]')
    return cell


def _is_nan(cell: Any) -> bool:
    return isinstance(cell, float) and bool(np.isnan(cell))


def natural(name: str) -> tuple[int, int, str]:
    """Sort whole numbers by value and before everything else."""
    whole = name.isascii() and name.isdecimal() and len(name) < 19
    return (0, int(name), name) if whole else (1, 0, name)


def _near(given: str, accepted: Iterable[str]) -> str:
    guess = nearest(given, accepted)
    return f". Did you mean {guess!r}?" if guess else "."
