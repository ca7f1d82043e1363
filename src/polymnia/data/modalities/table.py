"""`table`: a row of numbers, or a few rows."""

from pathlib import Path

import numpy as np

from polymnia.data.modality import Array, Modality, Raw, register
from polymnia.errors import DataError


@register("table")
class Table(Modality):
    """Numbers of shape (d,) or (T, d) in float32: an array, a `.npy` file or a `.csv` file without a header."""

    suffixes = (".npy", ".csv")

    def read(self, value: Raw) -> Array:
        """Return finite float32 numbers."""
        if isinstance(value, Path):
            raise DataError(f"cannot read {value}")
        if isinstance(value, bytes | str):
            raise DataError("a table is an array or a file, not a text")
        array = np.asarray(value)
        if not np.issubdtype(array.dtype, np.number):
            raise DataError(f"has dtype {array.dtype}; numbers are needed")
        array = array.astype(np.float32)
        if not np.isfinite(array).all():
            raise DataError(f"has {int((~np.isfinite(array)).sum())} values that are NaN or infinite")
        return array
