"""Tokens of one frozen encoder on disk: a file that only grows, memory-mapped, and an index of what is whole in it."""

import os
import secrets
import time
import warnings
import zlib
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from polymnia.data.tokens import Tokens
from polymnia.encoders.index import Index
from polymnia.errors import StateError

INDEX = "index"
STORED = torch.float16
COMMIT_BYTES = 64 * 2**20
COMMIT_SECONDS = 15.0
"""What is encoded becomes part of the store after so many bytes or seconds, so that a kill loses little."""


class Store:
    """The tokens of one encoder.

    Tokens are appended behind what the index speaks for and flushed to disk; only then a new index replaces the old
    one in one step. So a reader sees all of a value or nothing, a killed writer leaves nothing but a tail that the
    next one overwrites, and any number of fills still makes two files. A stretch of the file whose checksum is wrong
    is set aside with a warning, and its values count as lacking.

    Reading needs no lock. `fill` must be called by one process at a time; see `Cache`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._whole: set[tuple[int, int]] = set()  # (file, first token) of the parts checked since it was opened
        self._told: set[tuple[int, int]] = set()
        self.refresh()

    def refresh(self) -> None:
        """Take up what other processes have added."""
        self.damaged = False
        try:
            self.index = Index.unpack((self.folder / INDEX).read_bytes())
        except FileNotFoundError:
            self.index = Index()
        except OSError as error:
            raise StateError(
                f"cannot read the cache in {self.folder}: {error.strerror or error}. "
                f"Set POLYMNIA_HOME to a folder that can be read and written"
            ) from None
        except ValueError as error:
            self.index, self.damaged = Index(), True
            self._tell((0, 0), f"{self.folder / INDEX} is damaged: {error}. Its values are encoded again")
        self._map()

    def __len__(self) -> int:
        return len(self.index)

    def lacking(self, digests: Sequence[bytes]) -> list[bytes]:
        """Return the digests whose tokens are not held, or not whole; a stretch is checked when first needed."""
        rows = np.array([self._rows[d] for d in digests if d in self._rows], np.int64)
        needed = np.unique(self.index.part_of(rows))
        damaged = [part for part in needed.tolist() if not self._is_whole(part)]
        if damaged:
            self.index = self.index.without(np.array(damaged, np.int64))
            self._rows = self.index.rows()
        return [d for d in digests if d not in self._rows]

    def column(self, digests: Sequence[bytes]) -> Tokens:
        """Return the tokens of values that are held, over the one memory-mapped tensor (total, d) in float16."""
        rows = np.fromiter((self._rows[d] for d in digests), np.int64, len(digests))
        return Tokens(self.flat, torch.from_numpy(self.index.start[rows]), torch.from_numpy(self.index.length[rows]))

    def fill(self, produced: Iterable[tuple[bytes, Tensor]]) -> None:
        """Add values' tokens (T, d); what was added stays when the iteration breaks off.

        Raises
        ------
        StateError
            The folder cannot be written; what was held before is untouched.
        """
        with self._writing():
            self.folder.mkdir(parents=True, exist_ok=True)
            if self.damaged:
                (self.folder / INDEX).replace(self.folder / f"{INDEX}.damaged")
                self.damaged = False
            if not self.index.file:
                self.index.file = secrets.randbits(31) + 1  # a new name: others may still have an old file mapped
            for left in (*self.folder.glob(f".{INDEX}.*.tmp"), *self.folder.glob("tokens-*.f16")):
                if left != self._path():
                    left.unlink(missing_ok=True)
            file = self._path().open("r+b" if self._path().exists() else "w+b")
        try:
            self._append(file, produced)
        finally:
            with self._writing():
                file.close()
            self._map()

    def _append(self, file: BinaryIO, produced: Iterable[tuple[bytes, Tensor]]) -> None:
        pending = _Pending()
        try:
            for digest, tokens in produced:
                if not self.index.width:
                    self.index.width = tokens.shape[1]
                with self._writing():
                    if not pending.digests:
                        file.seek(2 * self.index.end * self.index.width)
                    pending.add(digest, tokens, file)
                    if pending.due():
                        self._commit(file, pending)
        finally:
            with self._writing():
                self._commit(file, pending)

    def _commit(self, file: BinaryIO, pending: "_Pending") -> None:
        """Make what was written part of the store."""
        if not pending.digests:
            return
        file.flush()
        os.fsync(file.fileno())
        longer = self.index.extended(pending.digests, pending.lengths, pending.checksum)
        _write_whole(self.folder / INDEX, longer.pack())
        self._whole.add((longer.file, self.index.end))
        self.index = longer
        pending.clear()

    def _is_whole(self, part: int) -> bool:
        first, end, checksum = self.index.parts[part].tolist()
        name = (self.index.file, first)
        if name in self._whole:
            return True
        held = self.flat[first:end].numpy()
        if len(held) == end - first and zlib.crc32(held.data) == checksum:
            self._whole.add(name)
            return True
        lost = int((self.index.part_of(np.arange(len(self))) == part).sum())
        stretch = f"{self._path()} is damaged between tokens {first} and {end}"
        self._tell(name, f"{stretch}: the stretch is set aside, and {lost} values are encoded again")
        return False

    def _tell(self, damage: tuple[int, int], message: str) -> None:
        """Warn of each damage once."""
        if damage not in self._told:
            self._told.add(damage)
            warnings.warn(message, stacklevel=3)

    def _map(self) -> None:
        """Map the tokens that are there; a file that lost its end is mapped as far as it goes."""
        self._rows = self.index.rows()
        width, path = self.index.width, self._path()
        there = path.stat().st_size // (2 * width) if width and path.exists() else 0
        total = min(self.index.end, there)
        if not total:
            self.flat = torch.zeros(0, width, dtype=STORED)
            return
        mapped = np.memmap(path, dtype=np.float16, mode="c", shape=(total, width))  # "c": torch wants it writable
        self.flat = torch.from_numpy(mapped)

    def _path(self) -> Path:
        return self.folder / f"tokens-{self.index.file:08x}.f16"

    @contextmanager
    def _writing(self) -> Generator[None, None, None]:
        try:
            yield
        except OSError as error:
            raise StateError(
                f"cannot write the cache in {self.folder}: {error.strerror or error}. Free some space "
                f"(`polymnia cache clear`), or set POLYMNIA_HOME to a folder that can be written"
            ) from None


class _Pending:
    """What is written and not yet in the index."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.digests: list[bytes] = []
        self.lengths: list[int] = []
        self.checksum = 0
        self.bytes = 0
        self.since = time.monotonic()

    def add(self, digest: bytes, tokens: Tensor, file: BinaryIO) -> None:
        written = tokens.to(STORED).contiguous().numpy().data.cast("B")
        file.write(written)
        self.checksum = zlib.crc32(written, self.checksum)
        self.bytes += len(written)
        self.digests.append(digest)
        self.lengths.append(len(tokens))

    def due(self) -> bool:
        return self.bytes >= COMMIT_BYTES or time.monotonic() - self.since >= COMMIT_SECONDS


def _write_whole(path: Path, content: bytes) -> None:
    """Replace a file in one step, so that a reader or a crash sees the old content or the new."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    handle = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
