"""State on disk: safetensors + JSON, never pickle, whole or not there at all."""

import hashlib
import json
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from polymnia.errors import StateError
from polymnia.state import Tree, join, split

TENSORS, REST = "tensors.safetensors", "state.json"
FILES = (TENSORS, REST)


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or a crash, sees the old content or the new, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        _write(temporary, content)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def save_state(folder: Path, state: Tree, *, files: tuple[str, str] = FILES) -> None:
    """Write a state as a folder of two files with checksums; an older one of that name is replaced.

    Parameters
    ----------
    folder : Path
        What is in it goes.
    state : Tree
        Tensors, scalars, dicts and lists.
    files : tuple of str
        How the files of the tensors and of the rest are called.

    Raises
    ------
    OSError
        Disk full or not writable; nothing of the new state is left, and an older one is untouched.
    """
    tensors, rest = split(state)
    packed = save(tensors)
    body = json.dumps({"tensors": hashlib.sha256(packed).hexdigest(), "state": rest}, sort_keys=True, allow_nan=True)
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        _write(temporary / files[0], packed)
        _write(temporary / files[1], _sealed(body).encode())
        _sync_folder(temporary)
        if folder.exists():
            shutil.rmtree(folder)
        temporary.rename(folder)
    except OSError:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    _sync_folder(folder.parent)


def load_state(folder: Path, *, files: tuple[str, str] = FILES) -> Tree:
    """Return a state that `save_state` wrote, to files of these names.

    Raises
    ------
    StateError
        A file is missing or its content is not what was written; the message names it.
    """
    tensors_file, rest_file = (folder / name for name in files)
    try:
        content = _unsealed(rest_file.read_text())
    except OSError as error:
        raise StateError(f"{rest_file} cannot be read: {error.strerror}") from None
    except ValueError:
        raise StateError(f"{rest_file} is damaged: its content does not match its checksum") from None
    try:
        packed = tensors_file.read_bytes()
    except OSError as error:
        raise StateError(f"{tensors_file} cannot be read: {error.strerror}") from None
    if hashlib.sha256(packed).hexdigest() != content["tensors"]:
        raise StateError(f"{tensors_file} is damaged: its content does not match its checksum")
    try:
        return join(load(packed), content["state"])
    except SafetensorError as error:
        raise StateError(f"{tensors_file} is damaged: {error}") from None


def _sealed(body: str) -> str:
    return f'{{"sha256": "{hashlib.sha256(body.encode()).hexdigest()}", "content": {body}}}'


def _unsealed(text: str) -> dict[str, Any]:
    body = text[len(_sealed("")) - 1 : -1]
    if text != _sealed(body):
        raise ValueError("checksum")
    content: dict[str, Any] = json.loads(body)
    return content


class Checkpoints:
    """The states of a run: the newest, and the one before it until the newest is whole."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def numbers(self) -> list[int]:
        """Return the numbers of the states there are, oldest first."""
        if not self.folder.is_dir():
            return []
        return sorted(int(path.name) for path in self.folder.iterdir() if path.name.isdigit())

    def save(self, state: Tree) -> Path:
        """Write the next state, then remove the older ones."""
        old = self.numbers()
        target = self.folder / f"{(old[-1] if old else 0) + 1:06d}"
        self.folder.mkdir(parents=True, exist_ok=True)
        save_state(target, state)
        for number in old:
            shutil.rmtree(self.folder / f"{number:06d}", ignore_errors=True)
        for left in self.folder.glob(".*.tmp"):
            shutil.rmtree(left, ignore_errors=True)
        return target

    def newest(self) -> int | None:
        """Return the number of the newest state, or None when there is none."""
        return max(self.numbers(), default=None)

    def load(self, number: int) -> Tree:
        """Return the state of a number.

        Raises
        ------
        StateError
            It is damaged, or not there.
        """
        return load_state(self.folder / f"{number:06d}")


def digest(state: Tree) -> str:
    """Return the SHA-256 of all tensors in a state: names, types, shapes and bytes."""
    tensors, _ = split(state)
    total = hashlib.sha256()
    for name in sorted(tensors):
        tensor: Tensor = tensors[name]
        total.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b"")
    return total.hexdigest()


def folder_bytes(folder: Path) -> int:
    """Return the bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@contextmanager
def alone(folder: Path) -> Generator[None, None, None]:
    """Hold a run folder; a second process that tries is told who has it."""
    from filelock import FileLock, Timeout

    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise StateError(f"{folder} is in use by another process; wait for it, or give another --out") from None
    try:
        yield
    finally:
        lock.release()
