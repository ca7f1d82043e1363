"""`text`: a caption, a sentence, a short document."""

import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from polymnia.data.modality import Array, Modality, Raw, file_bytes, register
from polymnia.errors import DataError


@register("text")
class Text(Modality):
    """Text as `str`, NFC-normalised and without white space at its ends: a string, or a file in UTF-8.

    A string is the text itself, never a file's name. Limits: 100,000 characters, and not empty.

    Examples
    --------
    >>> Text().read("  cafe\\u0301 ")
    'café'
    """

    suffixes = (".txt",)
    max_bytes = 4 * 2**20
    max_characters: ClassVar[int] = 100_000

    def read(self, value: Raw) -> str:
        """Return the checked text."""
        if isinstance(value, str):
            return self._checked(value)
        if isinstance(value, Path | bytes):
            return self.decode(file_bytes(value, limit=self.max_bytes))
        raise DataError(f"is a {type(value).__name__}; text is a string, bytes in UTF-8 or a file (pathlib.Path)")

    def decode(self, data: bytes) -> str:
        """Return the text of a file in UTF-8, with or without a byte-order mark."""
        try:
            return self._checked(data.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            odd = f"byte {error.start} (line {line}) is {data[error.start]:#04x}"
            raise DataError(f"is not text in UTF-8: {odd}") from None

    def check(self, array: Array) -> Array:
        """Refuse: no array is a text."""
        raise DataError(f"is an array of shape {array.shape}; text is a string or a file")

    def collate(self, values: Sequence[Array | str]) -> tuple[Array, NDArray[np.bool_]]:
        """Pad texts to (B, T) code points in uint32."""
        return super().collate([_code_points(v) if isinstance(v, str) else v for v in values])

    def _checked(self, text: str) -> str:
        if len(text) > self.max_characters:
            raise DataError(f"has {len(text):,} characters; the limit is {self.max_characters:,}")
        clean = unicodedata.normalize("NFC", text).strip()
        if not clean:
            raise DataError("is empty: no characters but white space" if text else "is empty")
        odd = next((c for c in clean if c == "\0" or "\ud800" <= c <= "\udfff"), None)
        if odd is not None:
            raise DataError(f"holds the character U+{ord(odd):04X}, which no text has; was a binary file read as text?")
        return clean


def _code_points(text: str) -> Array:
    return np.array([ord(c) for c in text], dtype=np.uint32)
