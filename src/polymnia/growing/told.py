"""What a version's folder tells: what was asked for, onto which version, and what the verdict was."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from polymnia.errors import StateError
from polymnia.growing.book import ModelFolder

REQUEST, VERDICT = "request.json", "verdict.json"


def lineage(model: ModelFolder, version: str) -> Iterator[Path]:
    """Yield the run folders of the versions that a version was learned onto, oldest first, and its own."""
    if version:
        folder = model.version(version)
        yield from lineage(model, str(request_of(folder)["onto"]))
        yield folder


def request_of(folder: Path) -> dict[str, Any]:
    """Return what a version was asked to learn, and onto which version.

    Raises
    ------
    StateError
        It is damaged.
    """
    path = folder / REQUEST
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
        _ = found["onto"], found["data"]["name"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StateError(f"{path} cannot be read: {error}") from None
    return found


def verdict_of(folder: Path) -> dict[str, Any]:
    """Return the verdict over a version, as JSON.

    Raises
    ------
    StateError
        It was not judged, or what was said is damaged.
    """
    path = folder / VERDICT
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise StateError(f"{path} cannot be read: {error}") from None
    return found
