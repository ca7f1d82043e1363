"""Rows of a table of samples: CSV, JSON Lines or Parquet, each row with its place, a broken one with its reason."""

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from polymnia.data.modality import decoding, file_bytes
from polymnia.errors import DataError

MAX_BYTES = 4 * 2**30
"""Largest table of samples: of the file, and of what a Parquet file unpacks to."""
MAX_ROWS = 10_000_000
"""Most rows of a table of samples; a Parquet file of a few kilobytes may state many more."""
BATCH = 256
"""Rows of a Parquet file that are unpacked at once: a value that is stored once may stand in all of them."""


@dataclass(frozen=True)
class Row:
    """One row: its place for messages ("line 7"), its cells, and why it cannot be used, if so."""

    place: str
    cells: dict[str, Any] = field(default_factory=dict)
    broken: str = ""


@dataclass(frozen=True)
class Rows:
    """The column names, and the rows one by one."""

    columns: tuple[str, ...]
    rows: Iterator[Row]


def read_rows(path: Path) -> Rows:
    """Return the rows of a `.csv` (or `.tsv`), `.jsonl` (or `.ndjson`) or `.parquet` file.

    CSV and JSON Lines are in UTF-8, with or without a byte-order mark; CSV has a line of column names, and cells
    parted by commas, semicolons or tabs, whichever the first line has most of. Cells of CSV are text; those of JSON
    Lines and Parquet keep their type.

    Raises
    ------
    DataError
        The file cannot be read, is of another kind, or its column names are not all there and all different.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path} ends in {path.suffix!r}; accepted: {', '.join(READERS)}")
    try:
        found = reader(file_bytes(path, limit=MAX_BYTES))
    except DataError as error:
        raise DataError(f"{path}: {error}" if str(path) not in str(error) else str(error)) from None
    twice = sorted({name for name in found.columns if found.columns.count(name) > 1})
    if twice:
        raise DataError(f"{path} has several columns called {', '.join(map(repr, twice))}")
    return Rows(found.columns, _named(found.rows, path))


def _named(rows: Iterator[Row], path: Path) -> Iterator[Row]:
    """Pass rows on; an error on the way names the file."""
    try:
        for number, row in enumerate(rows, start=1):
            if number > MAX_ROWS:
                raise DataError(f"has more than {MAX_ROWS:,} rows, the limit")
            yield row
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"line {line} is not UTF-8 (byte {data[error.start]:#04x}). Save the file as UTF-8, for instance with: "
            "iconv -f WINDOWS-1252 -t UTF-8"
        ) from None


def _csv(data: bytes) -> Rows:
    text = _text(data)
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = next((cells for cells in reader if any(cell.strip() for cell in cells)), [])
    except csv.Error as error:
        raise DataError(f"line {reader.line_num}: the column names cannot be read: {error}") from None
    names = [name.strip() for name in header]
    if not names or not all(names):
        raise DataError("the first line must name every column; " + ("one has no name" if names else "it is empty"))
    return Rows(tuple(names), _csv_rows(reader, names))


def _csv_rows(reader: Any, names: list[str]) -> Iterator[Row]:
    while True:
        start = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "unexpected end" in str(error):
                raise DataError(f"line {start}: a quoted cell that begins here is never closed") from None
            yield Row(_lines(start, reader.line_num), broken=f"is not a row of CSV: {error}")
            continue
        if not any(cell.strip() for cell in cells):
            continue  # a blank line holds no sample
        place = _lines(start, reader.line_num)
        if len(cells) != len(names):
            yield Row(place, broken=f"has {len(cells)} cells; there are {len(names)} columns")
        else:
            yield Row(place, dict(zip(names, cells, strict=True)))


def _lines(start: int, end: int) -> str:
    return f"line {start}" if end <= start else f"lines {start} to {end}"


def _jsonl(data: bytes) -> Rows:
    rows = [_json_row(f"line {number}", line) for number, line in enumerate(_text(data).split("\n"), 1) if line.strip()]
    names = dict.fromkeys(name for row in rows for name in row.cells)
    if not names:
        raise DataError(f"no line is a JSON object; first: {rows[0].place} {rows[0].broken}" if rows else "is empty")
    return Rows(tuple(names), iter(rows))


def _json_row(place: str, line: str) -> Row:
    try:
        cells = json.loads(line)
    except (ValueError, RecursionError) as error:
        return Row(place, broken=f"is not JSON: {error}")
    if not isinstance(cells, dict):
        return Row(place, broken=f"is a JSON {type(cells).__name__}; an object is needed")
    return Row(place, cells)


def _parquet(data: bytes) -> Rows:
    import pyarrow
    from pyarrow import parquet

    with decoding("Parquet file"):
        file = parquet.ParquetFile(pyarrow.BufferReader(data))
        if file.metadata.num_rows > MAX_ROWS:
            raise DataError(f"has {file.metadata.num_rows:,} rows; the limit is {MAX_ROWS:,}")
        return Rows(tuple(file.schema_arrow.names), _parquet_rows(file))


def _parquet_rows(file: Any) -> Iterator[Row]:
    number, unpacked = 0, 0
    with decoding("Parquet file"):
        for batch in file.iter_batches(batch_size=BATCH):
            for cells in batch.to_pylist():
                number += 1
                unpacked += sum(len(cell) for cell in cells.values() if isinstance(cell, str | bytes))
                if unpacked > MAX_BYTES:
                    raise DataError(f"unpacks to more than {MAX_BYTES:,} bytes, the limit")
                yield Row(f"row {number}", cells)


READERS: Mapping[str, Callable[[bytes], Rows]] = {
    ".csv": _csv, ".tsv": _csv, ".jsonl": _jsonl, ".ndjson": _jsonl, ".parquet": _parquet,
}  # fmt: skip
"""Ending of a file of rows → what reads it."""
