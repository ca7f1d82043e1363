"""Numbers from files: `.npy`, and text with one row a line (CSV and its relatives)."""

import io
import math

import numpy as np

from polymnia.data.modality import Array, decoding
from polymnia.errors import DataError

NPY = b"\x93NUMPY"
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def numbers(data: bytes, *, limit: int) -> Array:
    """Return the array of a `.npy` file, or the rows × columns of a text file in float64.

    A text file has one row a line, cells parted by semicolons, commas, tabs or blanks (the first of these that the
    first row holds), `#` comments, and optionally one line of column names. Nothing is ever unpickled.

    Raises
    ------
    DataError
        The file is truncated or neither of both, a cell is not a number, rows differ in length, or it holds more
        than `limit` numbers.
    """
    if data.startswith(NPY):
        return _npy(data, limit)
    if data.startswith(b"PK\x03\x04"):
        raise DataError("is an archive (.npz or .zip); save the one array with numpy.save")
    return _text(data, limit)


def finite(array: Array, *, ndims: tuple[int, ...], form: str) -> Array:
    """Return numbers as float32, all of them finite; `form` is the accepted shape for messages.

    Examples
    --------
    >>> finite(np.array([1, 2]), ndims=(1,), form="(d,)")
    array([1., 2.], dtype=float32)
    """
    if not (np.issubdtype(array.dtype, np.integer) or np.issubdtype(array.dtype, np.floating)):
        raise DataError(f"has dtype {array.dtype}; whole or floating-point numbers are needed")
    if array.ndim not in ndims:
        raise DataError(f"has shape {array.shape}; {form} is needed")
    if not array.size:
        raise DataError(f"holds no numbers: its shape is {array.shape}")
    with np.errstate(over="ignore"):
        narrow = np.ascontiguousarray(array, dtype=np.float32)
    wrong = int((~np.isfinite(narrow)).sum())
    if wrong:
        raise DataError(f"has {wrong:,} of {array.size:,} values that are NaN, infinite or beyond float32")
    return narrow


def _npy(data: bytes, limit: int) -> Array:
    stream = io.BytesIO(data)
    with decoding(".npy file"):
        version = np.lib.format.read_magic(stream)
        if version not in _HEADERS:
            raise DataError(f"is a .npy file of version {version}; versions 1.0 and 2.0 are read")
        shape, _, dtype = _HEADERS[version](stream)
        _within(math.prod(shape), limit)
        if dtype.hasobject:
            raise DataError("is a .npy file of Python objects, which is never loaded; save numbers")
        needed, held = math.prod(shape) * dtype.itemsize, len(data) - stream.tell()
        if needed > held:
            raise DataError(f"is truncated: {needed:,} bytes of numbers are announced and {held:,} are there")
        return np.load(io.BytesIO(data), allow_pickle=False)


def _text(data: bytes, limit: int) -> Array:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"is neither .npy nor text in UTF-8 (byte {error.start})") from None
    lines = [line for line in (raw.partition("#")[0].strip() for raw in text.splitlines()) if line]
    if not lines:
        raise DataError("holds no numbers")
    delimiter = next((mark for mark in ";,\t" if mark in lines[0]), None)
    _within(len(lines) * len(lines[0].split(delimiter)), limit)
    if not any(_number(cell) for cell in lines[0].split(delimiter)):
        del lines[0]  # column names
    if not lines:
        raise DataError("holds no numbers, only one line of text")
    try:
        return np.loadtxt(lines, delimiter=delimiter, ndmin=2, comments=None)
    except ValueError as error:
        raise DataError(f"is not a table of numbers: {str(error).split(';')[0]}") from None


def _within(count: int, limit: int) -> None:
    if count > limit:
        raise DataError(f"holds {count:,} numbers; the limit is {limit:,}")


def _number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
