"""What loaders of annotated sets share: where lists lie, how their rows are read, and which media are there."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from polymnia.data.modality import MODALITIES, file_bytes
from polymnia.data.rows import MAX_BYTES, Row, read_rows
from polymnia.data.stage import Rejected
from polymnia.errors import DataError

T = TypeVar("T")
Cells = Mapping[str, Any]
Lists = Mapping[str, Sequence[str]]
"""What a list is for → the names that its file may have."""

FOLDERS = ("", "annotations", "annotation", "dataset", "metadata")
"""Where lists lie in a set's folder."""
LONGEST = 255
"""Characters of a file's name."""


def list_files(root: Path, lists: Lists) -> dict[str, Path]:
    """Return what a list is for → its file, of those that are there; names that come first win."""
    places = {what: [root / folder / name for name in names for folder in FOLDERS] for what, names in lists.items()}
    there = {what: next((path for path in paths if path.is_file()), None) for what, paths in places.items()}
    return {what: path for what, path in there.items() if path is not None}


def lacking(lists: Lists, there: Iterable[str]) -> str:
    """Return which lists are not there, in words; empty where all are.

    Examples
    --------
    >>> lacking({"train": ["train.csv"], "test": ["test.csv", "eval.csv"]}, ["train"])
    'test.csv (or eval.csv)'
    """
    absent = [names for what, names in lists.items() if what not in set(there)]
    return ", ".join(names[0] + (f" (or {', '.join(names[1:])})" if names[1:] else "") for names in absent)


# rows -----------------------------------------------------------------------------------------------------------------


def read_json(path: Path) -> Any:
    """Return what a JSON file in UTF-8 holds, or raise DataError naming the file and what is wrong where."""
    try:
        return json.loads(file_bytes(path, limit=MAX_BYTES).decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        wrong = f"byte {error.object[error.start]:#04x} at {error.start:,}"
        raise DataError(f"{path} is not UTF-8 ({wrong}). Save the file as UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON: {error}") from None
    except DataError as error:
        raise DataError(str(error) if str(path) in str(error) else f"{path} {error}") from None


def json_rows(path: Path, key: str | None = None) -> Iterator[Row]:
    """Yield the objects of a JSON list, which may be under a key; what is not an object is a broken row.

    Raises
    ------
    DataError
        The file is not JSON, or there is no such list.
    """
    found = read_json(path)
    where = "a list of objects" if key is None else f"an object with a list {key!r}"
    held = found if key is None else found.get(key) if isinstance(found, dict) else None
    if not isinstance(held, list):
        raise DataError(f"{path} holds a JSON {type(found).__name__}; {where} is needed")
    for number, cells in enumerate(held, start=1):
        place = f"{key or 'entry'} {number}"
        broken = "" if isinstance(cells, dict) else f"is a JSON {type(cells).__name__}; an object is needed"
        yield Row(place, {} if broken else cells, broken)


def table_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    """Yield the rows of a CSV file, or raise DataError where it has not all of these columns."""
    table = read_rows(path)
    absent = [name for name in columns if name not in table.columns]
    if absent:
        raise DataError(f"{path} has no column {', '.join(absent)}. Its columns: {', '.join(table.columns)}")
    yield from table.rows


def understood(rows: Iterable[Row], make: Callable[[Cells], T], *, path: Path, left: list[Rejected]) -> list[T]:
    """Return what `make` makes of each row; rows that are broken, or of which it raises DataError, go to `left`."""
    made: list[T] = []
    for row in rows:
        try:
            if row.broken:
                raise DataError(row.broken)
            made.append(make(row.cells))
        except DataError as error:
            shown = " ".join(f"{name}={value!r}" for name, value in row.cells.items())
            left.append(Rejected(f"{path.name} {row.place}", "", shown[:200], str(error)))
    return made


# cells ----------------------------------------------------------------------------------------------------------------


def name_in(cells: Cells, column: str) -> str:
    """Return a cell that names something: a text or a whole number, that can be printed.

    Examples
    --------
    >>> name_in({"video_id": 7}, "video_id")
    '7'
    """
    value = cells.get(column)
    text = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if not text:
        raise DataError(f"has no {column}")
    if not text.isprintable() or len(text) > LONGEST:
        raise DataError(f"has a {column} that is no name")
    return text


def file_in(cells: Cells, column: str) -> str:
    """Return a cell that names a file of the folder of media, and leads nowhere else."""
    text = name_in(cells, column)
    if text in (".", "..") or "/" in text or "\\" in text or len(text.encode()) > LONGEST:
        raise DataError(f"has a {column} that is not the name of a file in the folder of media")
    return text


def words(value: Any) -> str:
    """Return a text on one line with single blanks; what cannot be printed is a blank, what is no text is empty.

    Examples
    --------
    >>> words("  a man\\n and\\x00 a dog "), words(2), words(None)
    ('a man and a dog', '2', '')
    """
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    return " ".join("".join(c if c.isprintable() else " " for c in str(value)).split())


# media ----------------------------------------------------------------------------------------------------------------


class Media:
    """The media files of a set by their names, with and without ending; what is not in its folders is not found.

    Parameters
    ----------
    root : Path
        The set's folder.
    folders : sequence of str
        Where in it media may lie; of files with one name, that of the first folder is taken.
    modality : str
        Files of other kinds are passed over.
    given : str, optional
        The folder of media that the user names, from `root` on, or absolute; `folders` are looked for in it.
    """

    def __init__(self, root: Path, folders: Sequence[str], modality: str, *, given: str | None = None) -> None:
        if given is not None:
            root = root / Path(given).expanduser()
            folders = ("", *folders)
            if not root.is_dir():
                raise DataError(f"stream.media: {root} is not a folder")
        there = [root / folder for folder in folders if (root / folder).is_dir()]
        self.expected = there[0] if there else root / folders[0]
        self.files: dict[str, Path] = {}
        endings = MODALITIES.get(modality).suffixes
        for path in (path for folder in there for path in _listed(folder)):
            if path.suffix.lower() in endings:
                self.files.setdefault(path.name, path)
                self.files.setdefault(path.stem, path)

    def find(self, *names: str) -> Path:
        """Return the file of the first name that is there; else where the first should be."""
        return next((self.files[name] for name in names if name in self.files), self.expected / names[0])


def _listed(folder: Path) -> list[Path]:
    """Return what a folder holds, by name."""
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror or error}") from None
