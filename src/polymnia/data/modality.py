"""A modality: one kind of signal, how its files are read, checked, told apart and padded."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from polymnia.errors import DataError
from polymnia.registry import Registry

Array = NDArray[Any]
Raw = Path | bytes | str | Array
"""What a sample may hold: a file, a file's content, a text, or a ready array."""


class Modality(ABC):
    """One kind of signal: image, audio, text, video, motion, point-cloud, table."""

    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def read(self, value: Raw) -> Array | str:
        """Return the checked array (or text) of one value.

        Raises
        ------
        DataError
            The value cannot be read or breaks a limit; the message is the reason that goes to `rejected.jsonl`.
        """

    def collate(self, values: Sequence[Array]) -> tuple[Array, NDArray[np.bool_]]:
        """Pad arrays (T_i, ...) to (B, T, ...) and return them with a validity mask (B, T)."""
        length = max(len(value) for value in values)
        padded = np.zeros((len(values), length, *values[0].shape[1:]), dtype=values[0].dtype)
        valid = np.zeros((len(values), length), dtype=bool)
        for row, value in enumerate(values):
            padded[row, : len(value)] = value
            valid[row, : len(value)] = True
        return padded, valid


MODALITIES: Registry[type[Modality]] = Registry("modality", "polymnia.data.modalities")
register = MODALITIES.register


def content(value: Raw) -> bytes:
    """Return the bytes that make a value what it is; equal content means an equal encoding.

    Raises
    ------
    DataError
        The file cannot be read.
    """
    if isinstance(value, Path):
        try:
            return value.read_bytes()
        except OSError as error:
            raise DataError(f"cannot read {value}: {error.strerror or error}") from None
    if isinstance(value, str):
        return b"text\0" + value.encode()
    if isinstance(value, bytes):
        return value
    return f"{value.dtype}{value.shape}".encode() + np.ascontiguousarray(value).tobytes()


def digest(value: Raw) -> str:
    """Return the SHA-256 of a value's content, in hex."""
    return hashlib.sha256(content(value)).hexdigest()
