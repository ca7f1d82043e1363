"""What a store of tokens holds: for each value its place, for each part of the file its checksum."""

import hashlib
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

DIGEST = 32
"""Bytes of a value's SHA-256."""


@dataclass(eq=False)
class Index:
    """The table of contents of one file of tokens.

    Parameters
    ----------
    file : int
        Number in the name of the tokens' file; 0 when there is none yet.
    width : int
        The width d of one token; 0 while nothing is held.
    digests : NDArray
        (N, 32) uint8, the SHA-256 of each value's content.
    start, length : NDArray
        (N,) int64: value i is tokens ``start[i] : start[i] + length[i]`` of the file.
    parts : NDArray
        (P, 3) int64: first token, end, and CRC-32 of what was written at once. Parts of a damaged
        stretch stay, with a checksum of -1, so that their place is never written to again.
    """

    file: int = 0
    width: int = 0
    digests: NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, DIGEST), np.uint8))
    start: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    length: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    parts: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 3), np.int64))

    def __len__(self) -> int:
        return len(self.start)

    @property
    def end(self) -> int:
        """Tokens that are spoken for; the next ones go behind them."""
        return int(self.parts[-1, 1]) if len(self.parts) else 0

    def rows(self) -> dict[bytes, int]:
        """Return digest → row."""
        packed = self.digests.tobytes()
        return {packed[row * DIGEST : (row + 1) * DIGEST]: row for row in range(len(self))}

    def part_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the part that holds each row's tokens."""
        return np.searchsorted(self.parts[:, 0], self.start[rows], side="right") - 1

    def extended(self, digests: list[bytes], lengths: list[int], checksum: int) -> "Index":
        """Return the index with one more part that holds these values one after another."""
        length = np.array(lengths, np.int64)
        first, total = self.end, int(length.sum())
        fresh = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, DIGEST)
        return Index(
            self.file,
            self.width,
            np.concatenate([self.digests, fresh]),
            np.concatenate([self.start, first + length.cumsum() - length]),
            np.concatenate([self.length, length]),
            np.concatenate([self.parts, np.array([[first, first + total, checksum]], np.int64)]),
        )

    def without(self, damaged: NDArray[np.int64]) -> "Index":
        """Return the index without the values of some parts; the parts' places stay taken."""
        kept = ~np.isin(self.part_of(np.arange(len(self))), damaged)
        parts = self.parts.copy()
        parts[damaged, 2] = -1
        return Index(self.file, self.width, self.digests[kept], self.start[kept], self.length[kept], parts)

    def pack(self) -> bytes:
        """Return the index as bytes: a SHA-256 and, behind it, safetensors."""
        body = save(
            {
                "head": np.array([self.file, self.width], np.int64),
                "digests": self.digests,
                "start": self.start,
                "length": self.length,
                "parts": self.parts,
            }
        )
        return hashlib.sha256(body).digest() + body

    @classmethod
    def unpack(cls, packed: bytes) -> "Index":
        """Return the index that `pack` wrote, or raise ValueError when it is damaged.

        Examples
        --------
        >>> Index.unpack(Index(width=3).pack()).width
        3
        """
        body = packed[DIGEST:]
        if hashlib.sha256(body).digest() != packed[:DIGEST]:
            raise ValueError("its content does not match its checksum")
        try:
            held = load(body)
            file, width = held["head"].tolist()
            return cls(file, width, held["digests"], held["start"], held["length"], held["parts"])
        except (SafetensorError, KeyError) as error:
            raise ValueError(f"it is of another format: {error}") from None
