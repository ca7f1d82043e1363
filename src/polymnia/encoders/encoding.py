"""Encode a stream: every raw column becomes tokens, each value computed once; broken values are set aside."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from polymnia.data.modality import MODALITIES
from polymnia.data.samples import Samples
from polymnia.data.scenario import SPLITS
from polymnia.data.stage import Rejected, Stage, Stream
from polymnia.data.tokens import Tokens
from polymnia.encoders.base import Encoder
from polymnia.errors import DataError, SettingsError


@dataclass(frozen=True)
class Encoded:
    """One column's tokens, and what could not be encoded: row → reason."""

    tokens: Tokens
    broken: Mapping[int, str]


def encode_stream(
    stream: Stream, encoders: Mapping[str, Encoder], *, pool: bool = True, max_rejected: float = 0.1
) -> Stream:
    """Return the stream with tokens in place of raw values, and its stages' `widths` known.

    Parameters
    ----------
    stream : Stream
        Raw.
    encoders : Mapping
        Modality → encoder; every modality of the stream needs one.
    pool : bool
        One token a value, pooled as the encoder says (for models that want vectors).
    max_rejected : float
        Largest share of samples that may be set aside.

    Raises
    ------
    SettingsError
        A modality has no encoder, or an encoder no modality.
    DataError
        More than the allowed share of the samples is broken.
    """
    lacking, idle = sorted(set(stream.kinds) - set(encoders)), sorted(set(encoders) - set(stream.kinds))
    if lacking or idle:
        missing = f"no encoder for {', '.join(lacking)}" if lacking else f"{', '.join(idle)}: not in the stream"
        raise SettingsError(f"encoders: {missing}. Modalities of {stream.name!r}: {', '.join(sorted(stream.kinds))}")
    rejected: list[Rejected] = []
    stages: list[Stage] = []
    for stage in stream:
        held = {split: _encode(getattr(stage, split), stream, encoders, pool, rejected) for split in SPLITS}
        widths = {m: column.width for m, column in held["train"].values.items() if isinstance(column, Tokens)}
        stages.append(replace(stage, **held, widths=widths, earlier=tuple(stages)))
    lost, total = len({r.id for r in rejected}), sum(len(getattr(stage, split)) for stage in stream for split in SPLITS)
    if lost > max_rejected * total:
        first = rejected[0]
        raise DataError(
            f"{lost} of {total} samples are broken, more than the allowed share ({max_rejected:.0%}). "
            f"First: {first.id} ({first.modality}): {first.reason}"
        )
    return replace(stream, stages=tuple(stages), rejected=(*stream.rejected, *rejected))


def _encode(
    samples: Samples, stream: Stream, encoders: Mapping[str, Encoder], pool: bool, rejected: list[Rejected]
) -> Samples:
    """Return one split encoded, without the samples that have a broken value; those go to `rejected`."""
    columns: dict[str, Tokens] = {}
    whole = torch.ones(len(samples), dtype=torch.bool)
    for modality, raw in samples.values.items():
        encoder = encoders[modality]
        encoded = encode_column(samples, modality, encoder, kind=stream.kinds[modality])
        columns[modality] = encoded.tokens.pooled(encoder.pooling) if pool else encoded.tokens
        for row, reason in encoded.broken.items():
            whole[row] = False
            value = "" if isinstance(raw, Tokens) else str(raw[row])[:200]
            rejected.append(Rejected(str(samples.ids[row]), modality, value, reason))
    encoded_samples = replace(samples, values=columns)
    return encoded_samples if bool(whole.all()) else encoded_samples.subset(whole.nonzero().flatten())


def encode_column(samples: Samples, modality: str, encoder: Encoder, *, kind: str) -> Encoded:
    """Return the tokens of one modality's column; a row that lacks it, or is broken, has no tokens."""
    reader = MODALITIES.get(kind)()
    column, present = samples.values[modality], samples.present[modality]
    if isinstance(column, Tokens):
        return Encoded(column, {})
    tokens: list[Tensor | None] = [None] * len(samples)
    broken: dict[int, str] = {}
    for row in present.nonzero().flatten().tolist():
        try:
            tokens[row] = encoder.encode([reader.read(column[row])])[0]
        except DataError as error:
            broken[row] = str(error)
    width = next((t.shape[1] for t in tokens if t is not None), encoder.width)
    odd = {row: t.shape[1] for row, t in enumerate(tokens) if t is not None and t.shape[1] != width}
    for row, wrong in odd.items():
        broken[row], tokens[row] = f"has width {wrong}; the others have {width}", None
    return Encoded(pack(tokens, width), broken)


def pack(tokens: list[Tensor | None], width: int) -> Tokens:
    """Return single samples' tokens (T_i, d) as one column; None has length 0."""
    length = torch.tensor([0 if t is None else len(t) for t in tokens], dtype=torch.int64)
    held = [t for t in tokens if t is not None]
    flat = torch.cat(held) if held else torch.zeros(0, width)
    return Tokens(flat, length.cumsum(0) - length, length)
