"""Read and encode single values in batches; one that is broken does not disturb the others."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from polymnia.data.modality import Array, Modality, Raw
from polymnia.encoders.base import Encoder
from polymnia.encoders.store import STORED
from polymnia.errors import DataError

K = TypeVar("K", bound=Hashable)
Advance = Callable[[int, int], None]
"""Gets (done, total)."""
Encode = Callable[..., Iterator[tuple[str, Tensor | str]]]
"""Encodes values as `encode_values` does, in this process or elsewhere."""


def encode_values(
    values: Mapping[K, Raw],
    encoder: Encoder,
    reader: Modality,
    *,
    progress: Advance = lambda done, total: None,
    count: Callable[[int], None] = lambda computed: None,
) -> Iterator[tuple[K, Tensor | str]]:
    """Yield for each value its tokens (T, d), or the reason why it has to be set aside.

    Only `DataError` makes a value broken; anything else is an error of the program and surfaces.

    Parameters
    ----------
    values : Mapping
        Name → raw value; at most `encoder.batch_size` of them are in memory at once.
    encoder, reader : Encoder, Modality
        What encodes, and what reads.
    progress, count : callable
        Get (done, total), and the number of values the encoder is given, after and before each batch.
    """
    names = list(values)
    for first in range(0, len(names), encoder.batch_size):
        ready: dict[K, Array | str] = {}
        for name in names[first : first + encoder.batch_size]:
            try:
                ready[name] = reader.read(values[name])
            except DataError as error:
                yield name, str(error)
        count(len(ready))
        for name, result in zip(ready, _together(encoder, list(ready.values())), strict=True):
            yield name, _checked(encoder, result)
        progress(min(first + encoder.batch_size, len(names)), len(names))


def _together(encoder: Encoder, values: Sequence[Array | str]) -> Sequence[Tensor | str]:
    """Encode values side by side; when that fails, one by one to find the broken ones."""
    if not values:
        return []
    try:
        return encoder.encode(values)
    except DataError as error:
        if len(values) == 1:
            return [str(error)]
    return [result for value in values for result in _together(encoder, [value])]


def _checked(encoder: Encoder, tokens: Tensor | str) -> Tensor | str:
    """Return tokens that can be kept, or what is wrong with them."""
    if isinstance(tokens, str):
        return tokens
    if not len(tokens):
        return f"encoder {encoder.name!r} made no token of it"
    if encoder.cached:
        stored = tokens.detach().cpu().to(STORED)
        if not bool(torch.isfinite(stored).all()):
            return f"encoder {encoder.name!r} made tokens of it that are NaN, infinite or beyond float16 (65,504)"
        return stored
    return tokens
