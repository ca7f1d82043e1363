"""A modality: one kind of signal, how its files are read, checked, told apart and padded."""

import hashlib
import stat
from abc import ABC, abstractmethod
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from polymnia.errors import DataError, PolymniaError
from polymnia.registry import Registry

Array = NDArray[Any]
Raw = Path | bytes | str | Array
"""What a sample may hold: a file, a file's content, a text, or a ready array."""


class Modality(ABC):
    """One kind of signal: image, audio, text, video, motion, point-cloud, table.

    What a file is, is decided by its content and never by its name, so that equal content means an equal reading.
    Limits are class attributes, stated in each modality's docstring; they are checked before anything is decoded.
    """

    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]] = ()
    """Endings its files usually have: for listings, not for reading."""
    max_bytes: ClassVar[int] = 256 * 2**20
    """Largest file."""
    ragged: ClassVar[int] = 1
    """How many leading axes may differ from value to value, and are padded by `collate`."""

    def read(self, value: Raw) -> Array | str:
        """Return the checked array (or text) of one value.

        Raises
        ------
        DataError
            The value cannot be read or breaks a limit; the message is the reason that goes to `rejected.jsonl`.
        """
        if isinstance(value, Path | bytes):
            return self.decode(file_bytes(value, limit=self.max_bytes))
        if isinstance(value, str):
            raise DataError(f"got the text {value[:60]!r}; {self.name} is a file (pathlib.Path), bytes or an array")
        return self.check(as_array(value))

    @abstractmethod
    def decode(self, data: bytes) -> Array | str:
        """Return the checked array (or text) of a file's content."""

    @abstractmethod
    def check(self, array: Array) -> Array:
        """Return a ready array in the form that `read` promises, or raise DataError saying what is wrong with it."""

    def collate(self, values: Sequence[Array]) -> tuple[Array, NDArray[np.bool_]]:
        """Pad arrays (T_i, ...) to (B, T, ...) and return them with a validity mask (B, T).

        Where more than one leading axis is ragged (an image's height and width), all of them are padded and masked.

        Raises
        ------
        DataError
            There are no values, or they differ in more than the ragged axes.
        """
        if not values:
            raise DataError(f"{self.name}: there are no values to put side by side")
        kinds = sorted({f"{v.dtype} (*{', '.join(map(str, v.shape[self.ragged :]))})" for v in values})
        if len(kinds) > 1 or len({v.ndim for v in values}) > 1:
            raise DataError(f"{self.name}: values of different form cannot stand side by side: {'; '.join(kinds)}")
        longest = np.max([value.shape[: self.ragged] for value in values], axis=0)
        padded = np.zeros((len(values), *longest, *values[0].shape[self.ragged :]), dtype=values[0].dtype)
        valid = np.zeros((len(values), *longest), dtype=bool)
        for row, value in enumerate(values):
            at = (row, *(slice(n) for n in value.shape[: self.ragged]))
            padded[at] = value
            valid[at] = True
        return padded, valid


MODALITIES: Registry[type[Modality]] = Registry("modality", "polymnia.data.modalities")
register = MODALITIES.register


@contextmanager
def decoding(what: str) -> Generator[None]:
    """Turn whatever a decoder raises on bad input inside the block into a DataError; decoders share no error type."""
    try:
        yield
    except PolymniaError:
        raise
    except MemoryError:
        raise DataError(f"is not a readable {what}: it asks for more memory than there is") from None
    except Exception as error:
        lines = str(getattr(error, "strerror", None) or error).splitlines() or [type(error).__name__]
        raise DataError(f"is not a readable {what}: {lines[0][:200]}") from error


def file_bytes(value: Path | bytes, *, limit: int) -> bytes:
    """Return a file's content, or bytes as they are; both must be non-empty and within `limit` bytes.

    Raises
    ------
    DataError
        There is no such file, it is not a regular file, cannot be read, is empty or too large.
    """
    if isinstance(value, Path):
        size = _regular(value)
        if size <= limit:
            try:
                value = value.read_bytes()
            except OSError as error:
                raise _unreadable(value, error) from None
            size = len(value)
    else:
        size = len(value)
    if not size:
        raise DataError("is empty (0 bytes)")
    if size > limit:
        raise DataError(f"has {size:,} bytes; the limit is {limit:,}")
    assert isinstance(value, bytes)
    return value


def as_array(value: Any) -> Array:
    """Return a ready value as an array; a list of numbers is one too."""
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as error:
        raise DataError(f"is not an array: {str(error).splitlines()[0]}") from None
    if array.dtype == object:
        held = "missing" if value is None else f"a {type(value).__name__} of something else"
        raise DataError(f"is {held}; an array of numbers is needed")
    return array


def content(value: Raw) -> bytes:
    """Return the bytes that make a value what it is; equal content means an equal encoding.

    Raises
    ------
    DataError
        The file cannot be read.
    """
    if isinstance(value, Path):
        _regular(value)
        try:
            return b"bytes\0" + value.read_bytes()
        except OSError as error:
            raise _unreadable(value, error) from None
    if isinstance(value, bytes):
        return b"bytes\0" + value
    if isinstance(value, str):
        return b"text\0" + value.encode(errors="surrogatepass")
    array = as_array(value)
    return f"array\0{array.dtype.str}{array.shape}".encode() + np.ascontiguousarray(array).tobytes()


def digest(value: Raw) -> str:
    """Return the SHA-256 of a value's content, in hex: a file and its bytes have the same, whatever its name.

    Examples
    --------
    >>> digest("rain") == digest("rain"), digest("rain") == digest(b"rain")
    (True, False)
    """
    if not isinstance(value, Path):
        return hashlib.sha256(content(value)).hexdigest()
    _regular(value)
    found = hashlib.sha256(b"bytes\0")
    try:
        with value.open("rb") as file:  # in blocks: whether it is too large to be read is not known yet
            while block := file.read(1 << 20):
                found.update(block)
    except OSError as error:
        raise _unreadable(value, error) from None
    return found.hexdigest()


def _regular(path: Path) -> int:
    """Return the size of a regular file; a pipe or a device would block or never end."""
    try:
        found = path.stat()
    except (OSError, ValueError) as error:  # ValueError: a name with a null byte
        raise _unreadable(path, error) from None
    if not stat.S_ISREG(found.st_mode):
        raise DataError(f"cannot read {path}: {'it is a folder' if stat.S_ISDIR(found.st_mode) else 'not a file'}")
    return found.st_size


def _unreadable(path: Path, error: OSError | ValueError) -> DataError:
    if isinstance(error, FileNotFoundError):
        return DataError(f"cannot read {path}: there is no such file")
    return DataError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}")
