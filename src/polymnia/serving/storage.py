"""Where an index's table lies: inside the run folder, or on object storage, which LanceDB reads and writes itself.

How storage is reached (an endpoint, keys) comes from the environment, or from a settings file that `POLYMNIA_STORAGE`
names; it is never written beside the run, which holds the address alone.
"""

import os
from pathlib import Path
from typing import Any

from polymnia.config import read
from polymnia.errors import MissingExtra, SettingsError, StateError

SCHEMES = ("s3", "gs", "az")
OPTIONS = "POLYMNIA_STORAGE"
"""The environment's name for a YAML file of storage options."""


def address(given: str) -> str:
    """Return the address of a prefix on object storage, checked.

    Raises
    ------
    SettingsError
        It is none, or it holds more than a bucket and a prefix.

    Examples
    --------
    >>> address("s3://bucket/runs/stamps/")
    's3://bucket/runs/stamps'
    """
    scheme, parted, rest = given.partition("://")
    if not parted or scheme not in SCHEMES or not rest.strip("/"):
        accepted = ", ".join(f"{name}://bucket/prefix" for name in SCHEMES)
        raise SettingsError(f"--to: {given!r} is no prefix on object storage. Accepted: {accepted}")
    if any(letter in rest for letter in "@?#"):
        raise SettingsError(
            f"--to: an address is a bucket and a prefix alone, for it is written into the run folder; keys and options "
            f"belong in the environment (AWS_…), or in a file that {OPTIONS} names"
        )
    return f"{scheme}://{rest.rstrip('/')}"


def options() -> dict[str, str]:
    """Return the storage options of the settings file, if there is one; the environment's LanceDB reads itself."""
    path = os.environ.get(OPTIONS)
    if not path:
        return {}
    found = read(path)
    wrong = [name for name, value in found.items() if isinstance(value, dict | list) or value is None]
    if wrong:
        raise SettingsError(f"{path} ({OPTIONS}): {wrong[0]} must be a text, a number, or true or false")
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in found.items()}


def connect(at: str | Path) -> Any:
    """Return the database at a folder or an address.

    Raises
    ------
    MissingExtra
        LanceDB is not installed.
    """
    module = lancedb()
    return module.connect(str(at), storage_options=options()) if is_remote(at) else module.connect(str(at))


def open_table(database: Any, at: str | Path, name: str) -> Any | None:
    """Return a table, or None where there is none.

    Raises
    ------
    StateError
        The storage cannot be reached.
    """
    if not is_remote(at):
        return database.open_table(name) if (Path(at) / f"{name}.lance").is_dir() else None
    try:
        return database.open_table(name) if name in database.list_tables().tables else None
    except (RuntimeError, OSError, ValueError) as error:
        raise StateError(unreachable(at, error)) from None


def unreachable(at: str | Path, error: BaseException) -> str:
    """Say that storage did not answer, why, and where its options come from."""
    reason = str(error).splitlines()[0][:300]
    return (
        f"{at} cannot be read: {reason}. Its endpoint and keys come from the environment (AWS_ENDPOINT, "
        f"AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION …), or from a settings file that {OPTIONS} names"
    )


def is_remote(at: str | Path) -> bool:
    """Return whether it is an address and no folder."""
    return "://" in str(at)


def lancedb() -> Any:
    """Return the module."""
    try:
        import lancedb as module
    except ImportError:
        raise MissingExtra("lancedb", "search") from None
    return module
