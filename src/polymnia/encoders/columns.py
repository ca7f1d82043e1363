"""Encode one modality's columns: digest, look up, read and encode what is lacking, and put tokens in place."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from polymnia.data.modality import MODALITIES, Array, Modality, Raw, digest
from polymnia.data.samples import Column
from polymnia.data.tokens import Tokens
from polymnia.encoders.base import Encoder
from polymnia.encoders.cache import Cache
from polymnia.encoders.values import Advance, Encode, encode_values
from polymnia.errors import DataError

Part = tuple[Column, Tensor]
"""A column (N, ...) and which of its values are present (N,)."""
Encoded = tuple[Tokens, dict[int, str]]
"""A column's tokens, and what could not be encoded: row → reason."""


def _silent(done: int, total: int) -> None: ...


def encode_columns(
    parts: Sequence[Part], encoder: Encoder, *, kind: str, pool: bool, cache: Cache, progress: Advance = _silent,
    encode: Encode = encode_values,
) -> list[Encoded]:  # fmt: skip
    """Return the tokens of one modality's columns; a value that is missing or broken has none.

    `encode` computes what the cache lacks, as `encode_values` does, or on other machines.
    All results are views of one tensor of tokens, in which each value stands once. When they are pooled, every row
    has one token, zero where the value is missing or broken.
    """
    raw = [(at, part) for at, part in enumerate(parts) if not isinstance(part[0], Tokens)]
    done: dict[int, Encoded] = {
        at: (column.pooled(encoder.pooling) if pool else column, {})
        for at, (column, _) in enumerate(parts)
        if isinstance(column, Tokens)
    }
    columns = [np.asarray(column) for _, (column, _) in raw]
    present = [held for _, (_, held) in raw]
    dense = _dense(columns, encoder, kind)
    if dense is not None:
        table, places, broken = _from_dense(dense, torch.cat(present))
    elif encoder.cached:
        table, places, broken = _from_cache(columns, present, encoder, MODALITIES.get(kind)(), cache, progress, encode)
    else:
        table, places, broken = _one_by_one(columns, present, encoder, MODALITIES.get(kind)())
    start, length = _with_none(table)
    if pool:
        pooled = table.pooled(encoder.pooling)
        held = pooled.flat.index_select(0, pooled.start)  # one token a value already: they stand as they were stored
        flat = torch.cat([held, held.new_zeros(1, pooled.width)])
        start, length = torch.arange(len(flat)), torch.ones(len(flat), dtype=torch.int64)
    else:
        flat = table.flat
    begin = 0
    for (at, _), column in zip(raw, columns, strict=True):
        rows = places[begin : begin + len(column)]  # -1 reads the last entry, which is "none"
        mine = {row - begin: reason for row, reason in broken.items() if begin <= row < begin + len(column)}
        done[at] = Tokens(flat, start[rows], length[rows]), mine
        begin += len(column)
    return [done[at] for at in range(len(parts))]


def _with_none(table: Tokens) -> tuple[Tensor, Tensor]:
    """Return the table's places with one more entry behind them that has no tokens."""
    none = torch.zeros(1, dtype=torch.int64)
    return torch.cat([table.start, none]), torch.cat([table.length, none])


Table = tuple[Tokens, Tensor, Mapping[int, str]]
"""Each value's tokens once; for each row its place among them, or -1; and the broken rows with their reasons."""


def _dense(columns: Sequence[Array], encoder: Encoder, kind: str) -> Tensor | None:
    """Return ready features (N, T, d) of all columns at once, where the encoder takes them so."""
    forms = {(column.dtype, column.shape[1:]) for column in columns}
    if kind != "table" or len(forms) != 1 or columns[0].dtype == object or not columns[0][:1].size:
        return None
    return encoder.encode_dense(columns[0] if len(columns) == 1 else np.concatenate(columns))


def _from_dense(tokens: Tensor, present: Tensor) -> Table:
    finite = torch.isfinite(tokens).flatten(1)
    whole = finite.all(1)
    broken = {}
    for row in (present & ~whole).nonzero().flatten().tolist():
        wrong, size = int((~finite[row]).sum()), finite.shape[1]
        broken[row] = f"has {wrong:,} of {size:,} values that are NaN, infinite or beyond float32"
    places = torch.where(present & whole, torch.arange(len(tokens)), -1)
    return Tokens.dense(torch.where(whole[:, None, None], tokens, 0.0) if broken else tokens), places, broken


def _from_cache(
    columns: Sequence[Array], present: Sequence[Tensor], encoder: Encoder, reader: Modality, cache: Cache,
    progress: Advance, encode: Encode,
) -> Table:  # fmt: skip
    values: dict[str, Raw] = {}
    digests: dict[int, str] = {}
    reasons: dict[str, str] = {}
    broken: dict[int, str] = {}
    known: dict[Path, str] = {}
    for row, value in _present(columns, present):
        try:
            name = known.get(value) if isinstance(value, Path) else None
            name = digest(value) if name is None else name
        except DataError as error:
            broken[row] = str(error)
            continue
        if isinstance(value, Path):
            known[value] = name
        digests[row] = name
        values.setdefault(name, value)

    def compute(lacking: list[str]) -> Iterator[tuple[str, Tensor]]:
        raw = {name: values[name] for name in lacking}
        count = partial(cache.count, encoder)
        for name, result in encode(raw, encoder, reader, progress=progress, count=count):
            if isinstance(result, str):
                reasons[name] = result
            else:
                yield name, result

    table, held = cache.tokens(encoder, list(values), compute)
    if not held:
        table = pack([], encoder.width)
    place = {name: at for at, name in enumerate(held)}
    places = torch.full((sum(map(len, columns)),), -1)
    for row, name in digests.items():
        if name in place:
            places[row] = place[name]
        else:
            broken[row] = reasons.get(name, "could not be read back from the cache; run again")
    return table, places, dict(sorted(broken.items()))


def _one_by_one(columns: Sequence[Array], present: Sequence[Tensor], encoder: Encoder, reader: Modality) -> Table:
    values = dict(_present(columns, present))
    results = dict(encode_values(values, encoder, reader))
    widths = Counter(result.shape[1] for result in results.values() if not isinstance(result, str))
    width = widths.most_common(1)[0][0] if widths else encoder.width
    tokens: list[Tensor] = []
    places, broken = torch.full((sum(map(len, columns)),), -1), {}
    for row in sorted(results):
        result = results[row]
        if isinstance(result, str):
            broken[row] = result
        elif result.shape[1] != width:
            broken[row] = f"has width {result.shape[1]}; the others have {width}"
        else:
            places[row] = len(tokens)
            tokens.append(result)
    return pack(tokens, width), places, broken


def _present(columns: Sequence[Array], present: Sequence[Tensor]) -> Iterator[tuple[int, Raw]]:
    """Yield (row, value) of what is there, rows counted on from column to column."""
    begin = 0
    for column, held in zip(columns, present, strict=True):
        for row in held.nonzero().flatten().tolist():
            yield begin + row, column[row]
        begin += len(column)


def pack(tokens: Sequence[Tensor], width: int) -> Tokens:
    """Return single values' tokens (T_i, d) as one column."""
    length = torch.tensor([len(t) for t in tokens], dtype=torch.int64)
    flat = torch.cat(list(tokens)) if tokens else torch.zeros(0, width)
    return Tokens(flat, length.cumsum(0) - length, length)
