"""The data that a user means: a source by name, a file of settings, or own data by its path."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from polymnia.config import part, read
from polymnia.data.rows import READERS
from polymnia.data.source import SOURCES, Source
from polymnia.errors import SettingsError, nearest

SETTINGS = (".yaml", ".yml")
WRITTEN = ("dataset_info.json", "dataset_dict.json")
"""What `save_to_disk` of `datasets` leaves in a folder."""


def source_asked_for(given: str, settings: Sequence[str] = ()) -> dict[str, Any]:
    """Return the name and the settings of the source that a user means.

    Parameters
    ----------
    given : str
        A manifest (CSV, JSON Lines, Parquet), a folder (with a folder a class, or as `datasets` writes it), a YAML file
        with a source's settings (by themselves or as its section `stream`), or the name of a source.
    settings : sequence of str
        The source's settings as key=value.

    Raises
    ------
    SettingsError
        It is none of these.
    """
    path = Path(given).expanduser()
    if given in SOURCES:
        return {"name": given, **read(None, settings)}
    if path.suffix.lower() in SETTINGS:
        return _of_file(path, settings)
    name = reader_of(path)
    if name is not None:
        return {"name": name, "path": str(path), **read(None, settings)}
    guess = nearest(given, SOURCES)
    hint = f" Did you mean {guess!r}?" if guess else ""
    raise SettingsError(
        f"--data: {given!r} is neither a source, nor a settings file, nor a manifest, nor a folder.{hint}\nAccepted: "
        f"{', '.join(SOURCES.names())}; a file {', '.join((*SETTINGS, *READERS))}; a folder of data."
    )


def reader_of(path: Path) -> str | None:
    """Return the name of the source that reads a file or folder of own data, or None."""
    if path.is_dir():
        written = any((path / name).is_file() for name in WRITTEN)
        return "hugging-face" if written or next(path.rglob("*.parquet"), None) else "folders"
    if path.suffix.lower() == ".parquet" and _of_datasets(path):
        return "hugging-face"
    return "manifest" if path.suffix.lower() in READERS else None


def source_of(mapping: Mapping[str, Any]) -> Source:
    """Return the source that a name and settings mean."""
    kind, settings = part(SOURCES, mapping, "data")
    source: Source = kind(settings)
    return source


def source_name(mapping: Mapping[str, Any]) -> str:
    """Return a source's name with its settings: two samples of the same id are the same if this is the same too.

    Examples
    --------
    >>> source_name({"name": "stamps", "stages": 5, "language": "fr"})
    'stamps language=fr'
    """
    name = mapping.get("name", "")
    accepted = SOURCES.get(name).Settings.__dataclass_fields__ if name in SOURCES else {}
    return " ".join([name, *(f"{key}={mapping[key]}" for key in sorted(mapping) if key in accepted)])


def _of_file(path: Path, settings: Sequence[str]) -> dict[str, Any]:
    """Return a source's settings from a file; of a run's settings file, those of its stream that are the source's."""
    held = read(path)
    section = held.get("stream", held)
    if not isinstance(section, str | Mapping):
        what = "nothing" if section is None else f"a {type(section).__name__}"
        raise SettingsError(
            f"{path}: its section `stream` holds {what}; the name of a source or its settings are needed"
        )
    mapping = {"name": section} if isinstance(section, str) else dict(section)
    if "stream" in held and mapping.get("name") in SOURCES:
        accepted = SOURCES.get(mapping["name"]).Settings.__dataclass_fields__
        mapping = {key: value for key, value in mapping.items() if key == "name" or key in accepted}
    return {**mapping, **read(None, settings)}


def _of_datasets(path: Path) -> bool:
    """Return whether a Parquet file states features as `datasets` does."""
    from pyarrow import ArrowException, parquet

    try:
        return b"huggingface" in (parquet.read_schema(path).metadata or {})
    except (ArrowException, OSError, ValueError):  # ValueError: a name that is not UTF-8
        return False  # the reader of manifests says what is wrong with it
