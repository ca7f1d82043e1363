"""`table`: a row of numbers, or a few rows."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from polymnia.data.modality import Array, Modality, register
from polymnia.data.numbers import finite, numbers


@register("table")
class Table(Modality):
    """Numbers of shape (d,) or (T, d) in float32: an array, a `.npy` file or a text file (CSV).

    A text file is always (T, d). Limits: 256 MiB a file, 10,000,000 numbers.

    Examples
    --------
    >>> Table().read(b"width,height\\n1.5,2\\n")
    array([[1.5, 2. ]], dtype=float32)
    """

    suffixes = (".npy", ".csv", ".tsv")
    max_numbers: ClassVar[int] = 10_000_000

    def decode(self, data: bytes) -> Array:
        """Return the numbers of a file."""
        return self.check(numbers(data, limit=self.max_numbers))

    def check(self, array: Array) -> Array:
        """Return finite float32 numbers."""
        return finite(array, ndims=(1, 2), form="(d,) or (T, d)")

    def collate(self, values: Sequence[Array]) -> tuple[Array, NDArray[np.bool_]]:
        """Pad tables to (B, T, d); one of shape (d,) is a single row."""
        return super().collate([np.atleast_2d(value) for value in values])
