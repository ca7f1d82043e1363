"""`identity`: features that are ready already pass through."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from polymnia.data.modality import Array
from polymnia.data.stage import Card
from polymnia.encoders.base import Encoder, register
from polymnia.errors import DataError


@register("identity")
class Identity(Encoder):
    """Arrays (d,) become one token, arrays (T, d) become T tokens; nothing is computed, so nothing is cached."""

    kind = "table"
    card = Card(title="Ready features", licence="none needed", citation="none")
    width = 0  # known only from the values
    cached = False

    @property
    def fingerprint(self) -> str:
        """Always the same."""
        return "identity"

    def reads(self, kind: str) -> bool:
        """Return True: what counts is that the values are numbers of a fitting shape."""
        return True

    def encode_dense(self, values: Array) -> Tensor | None:
        """Return (N, d) as (N, 1, d) and (N, T, d) as it is, in float32."""
        if not np.issubdtype(values.dtype, np.number) or values.ndim not in (2, 3):
            return None
        with np.errstate(over="ignore"):  # beyond float32 it becomes infinite, and the caller looks for that
            tokens = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
        return tokens.unsqueeze(1) if tokens.ndim == 2 else tokens

    def encode(self, values: Sequence[Array | str]) -> list[Tensor]:
        """Return the values as float32 tensors (T, d)."""
        return [self._tokens(value) for value in values]

    def _tokens(self, value: Array | str) -> Tensor:
        if isinstance(value, str) or not np.issubdtype(value.dtype, np.number) or value.ndim not in (1, 2):
            given = "a text" if isinstance(value, str) else f"{value.dtype} of shape {value.shape}"
            raise DataError(f"encoder 'identity' takes numbers of shape (d,) or (T, d), not {given}")
        return torch.atleast_2d(torch.from_numpy(np.ascontiguousarray(value, dtype=np.float32)))
