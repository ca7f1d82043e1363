"""`hugging-face`: a data set that `datasets` wrote, or the Parquet files of one from the hub."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from polymnia.data.manifest import SPLITS, Meaning, RowReader
from polymnia.data.modality import decoding
from polymnia.data.rows import Row
from polymnia.data.source import Dataset, register
from polymnia.data.stage import Card
from polymnia.data.stated import UNSTATED, OwnSource, Stated
from polymnia.errors import DataError, unknown

SIGNALS = {"Image": "image", "Audio": "audio", "Video": "video"}
"""Type of a feature → kind of signal."""


@register("hugging-face")
class HuggingFace(OwnSource):
    """A folder that ``save_to_disk`` of a Dataset or DatasetDict wrote, or Parquet files as the hub has them.

    Features of type Image, Audio and Video are modalities by their name; texts are modalities where their name says so
    (text, caption, …) or `kinds` does. The label is the column `label`, or the only feature of type ClassLabel. Splits
    are those of a DatasetDict, or what the names of Parquet files begin with (``train-00000-of-00001.parquet``).
    Nothing is run that lies in the folder, and the package `datasets` is not needed.
    """

    card = Card(
        title="Own data, written by `datasets`",
        licence=UNSTATED,
        citation=UNSTATED,
        homepage="https://huggingface.co/docs/datasets",
        get="call save_to_disk(FOLDER), or fetch the Parquet files of a data set, and give the path",
    )

    @dataclass(frozen=True, kw_only=True)
    class Settings(Stated):
        """Where it is, and what its columns mean."""

        path: str
        label: str = ""
        """The column of classes; empty: `label`, or the only ClassLabel."""
        kinds: Mapping[str, str] = field(default_factory=dict)
        """Column → kind of signal, where neither its type nor its name says it."""
        columns: tuple[str, ...] = ()
        """Further columns to carry along as text: a domain to cut by, a speaker."""

    settings: Settings

    def load(self) -> Dataset:
        """Return every usable row as a sample.

        Raises
        ------
        DataError
            It is no such folder, or has no label, no modality, or no usable row.
        """
        root = Path(self.settings.path).expanduser()
        tables = list(_tables(root))
        if not tables:
            raise DataError(
                f"stream.path: {root} holds neither what `save_to_disk` writes (dataset_info.json, or "
                "dataset_dict.json) nor Parquet files"
            )
        features, asked = tables[0].features, self.settings
        reader = reader_for(root, features, label=asked.label, kinds=asked.kinds, columns=asked.columns)
        for table in tables:
            for number, cells in enumerate(_rows(table)):
                place = f"{table.split or 'row'}/{table.file.name}/{number}"
                reader.take(Row(place, {"split": table.split, **as_cells(features, cells)}))
        return reader.dataset(root)


def reader_for(
    root: Path, features: Mapping[str, Any], *, label: str, kinds: Mapping[str, str], columns: tuple[str, ...]
) -> RowReader:
    """Return what turns rows of such features into samples.

    Raises
    ------
    DataError
        There is no label, or no modality.
    """
    label = label or _label(root, features)
    if label not in features:
        raise DataError(f"stream.label: {unknown('column', label, features)}")
    stated = {name: SIGNALS[f["_type"]] for name, f in features.items() if f.get("_type") in SIGNALS}
    meaning = Meaning(label=label, kinds={**stated, **kinds}, columns=columns)
    signals = [name for name in features if name in meaning.kinds or meaning.names_kind(name)]
    return RowReader(meaning, meaning.modalities((label, *columns, *signals)), root)


def as_cells(features: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row's cells as a manifest has them: bytes or the path of a file, the name of a class."""
    return {name: _cell(features.get(name, {}), value) for name, value in row.items()}


@dataclass(frozen=True)
class _Table:
    """One file of rows, and what is known of it."""

    file: Path
    split: str
    features: Mapping[str, Any]


def _tables(root: Path) -> Iterator[_Table]:
    if (root / "dataset_dict.json").is_file():
        for split in _json(root / "dataset_dict.json").get("splits", ()):
            yield from _saved(root / str(split), SPLITS.get(str(split).lower(), ""))
    elif (root / "dataset_info.json").is_file():
        yield from _saved(root, "")
    else:
        files = [root] if root.suffix == ".parquet" and root.is_file() else sorted(root.rglob("*.parquet"))
        for file in files:
            stem = file.name.split("-")[0].split(".")[0].lower()
            yield _Table(file, SPLITS.get(stem, SPLITS.get(file.parent.name.lower(), "")), _parquet_features(file))


def _saved(folder: Path, split: str) -> Iterator[_Table]:
    features = _json(folder / "dataset_info.json").get("features", {})
    for entry in _json(folder / "state.json").get("_data_files", ()):
        name = str(entry.get("filename", ""))
        if Path(name).name != name:
            raise DataError(f"{folder / 'state.json'} names the file {name!r}, which is not in its folder")
        yield _Table(folder / name, split, features)


def _parquet_features(file: Path) -> Mapping[str, Any]:
    """Return the features that a file states, and for those that it does not, that they are there."""
    from pyarrow import parquet

    with decoding("Parquet file"):
        schema = parquet.read_schema(file)
    stated = (schema.metadata or {}).get(b"huggingface", b"{}")
    with decoding("description of features"):
        known = json.loads(stated).get("info", {}).get("features", {})
    return {name: known.get(name, {}) for name in schema.names}


def _rows(table: _Table) -> Iterator[dict[str, Any]]:
    import pyarrow
    from pyarrow import parquet

    try:
        with decoding("file of rows"):
            if table.file.suffix == ".parquet":
                for batch in parquet.ParquetFile(table.file).iter_batches(batch_size=256):
                    yield from batch.to_pylist()
            else:
                with pyarrow.memory_map(str(table.file)) as held:
                    for batch in pyarrow.ipc.open_stream(held):
                        yield from batch.to_pylist()
    except DataError as error:
        raise DataError(f"{table.file} {error}") from None


def _cell(feature: Mapping[str, Any], value: Any) -> Any:
    """Return a cell as a manifest has it: bytes or a path of a file, the name of a class."""
    if isinstance(value, Mapping) and {"bytes", "path"} & set(value):
        return value.get("bytes") or value.get("path")
    names = feature.get("names")
    if feature.get("_type") == "ClassLabel" and isinstance(value, int) and names:
        return names[value] if 0 <= value < len(names) else None
    return value


def _label(root: Path, features: Mapping[str, Any]) -> str:
    classes = [name for name, feature in features.items() if feature.get("_type") == "ClassLabel"]
    if "label" in features or len(classes) == 1:
        return "label" if "label" in features else classes[0]
    raise DataError(
        f"{root} has no column 'label', and {len(classes)} of type ClassLabel; say which column holds the class: "
        f"label=…. Its columns: {', '.join(features)}"
    )


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise DataError(f"{path} holds {type(found).__name__}; a mapping is needed")
    return found
