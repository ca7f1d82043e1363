"""Weights that are turned into a checkpoint of `transformers` once, and kept in Polymnia's folder."""

import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from polymnia.data.fetch import home
from polymnia.encoders.weights import digest
from polymnia.errors import StateError

log = logging.getLogger(__name__)

WEIGHTS, NOTE = "model.safetensors", "converted.json"


def converted(name: str, source: str, make: Callable[[Path], None], *, megabytes: int) -> Path:
    """Return the folder of a checkpoint, made when it is first asked for.

    The folder is there whole or not at all; two processes may ask at once: one converts, the other waits. Weights that
    have changed on the disk since are noticed and made again.

    Parameters
    ----------
    name : str
        Of the network; a part of the folder's name.
    source : str
        SHA-256 of what the checkpoint is made of; another part.
    make : callable
        Fills an empty folder; its weights are `WEIGHTS`.
    megabytes : int
        How large it is, for who has no room.

    Raises
    ------
    StateError
        The folder cannot be written.
    """
    folder = home() / "weights" / f"{name}-{source[:12]}"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.parent / f".{folder.name}.lock"):
            if _whole(folder, source):
                return folder
            if folder.exists():
                log.warning("%s is damaged; it is made again", folder)
                shutil.rmtree(folder)
            for abandoned in folder.parent.glob(f".{folder.name}.part-*"):  # ours alone while we hold the lock
                shutil.rmtree(abandoned)
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.part-") as work:
                made = Path(work, "whole")
                made.mkdir()
                make(made)
                _noted(made, source)
                made.rename(folder)
                _flushed(folder.parent)
    except OSError as error:
        raise StateError(
            f"cannot keep the weights of {name} in {folder}: {error.strerror or error}. They take {megabytes} MB; "
            f"set POLYMNIA_HOME to a folder that can be written"
        ) from None
    return folder


def _whole(folder: Path, source: str) -> bool:
    try:
        note = json.loads((folder / NOTE).read_bytes())
        return bool(note == {"version": 1, "source": source, WEIGHTS: digest(folder / WEIGHTS)})
    except (FileNotFoundError, NotADirectoryError, ValueError, StateError):
        return False


def _noted(folder: Path, source: str) -> None:
    """Write down what the checkpoint was made of, and have all of it on the disk."""
    note = {"version": 1, "source": source, WEIGHTS: digest(folder / WEIGHTS)}
    (folder / NOTE).write_text(json.dumps(note, indent=1) + "\n", encoding="utf-8")
    for path in (*folder.iterdir(), folder):
        _flushed(path)


def _flushed(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
