"""Encode a stream: every raw column becomes tokens, each value computed once; broken values are set aside."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import torch

from polymnia.data.samples import Samples
from polymnia.data.scenario import SPLITS
from polymnia.data.stage import Rejected, Stage, Stream
from polymnia.data.tokens import Tokens
from polymnia.encoders.base import Encoder
from polymnia.encoders.cache import Cache
from polymnia.encoders.columns import encode_columns
from polymnia.errors import DataError, SettingsError

Progress = Callable[[str, int, int], None]
"""Gets (modality, done, total)."""


def encode_stream(
    stream: Stream,
    encoders: Mapping[str, Encoder],
    *,
    pool: bool = True,
    max_rejected: float = 0.1,
    cache: Cache | None = None,
    progress: Progress = lambda modality, done, total: None,
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
        Largest share of samples that may be set aside; a sample that is seen in several stages counts once.
    cache : Cache, optional
        This machine's by default.
    progress : callable, optional
        Gets (modality, done, total) after each batch of values that had to be computed.

    Raises
    ------
    SettingsError
        A modality has no encoder, or an encoder no modality, or an encoder reads another kind of signal.
    DataError
        A modality has no kind, more than the allowed share of the samples is broken, or a stage is left without
        training samples.
    StateError
        The cache cannot be written.
    """
    _check_fit(stream, encoders)
    cache = Cache() if cache is None else cache
    raw = [getattr(stage, split) for stage in stream for split in SPLITS]
    columns: list[dict[str, Tokens]] = [{} for _ in raw]
    rejected: dict[tuple[str, str], Rejected] = {}
    whole = [torch.ones(len(samples), dtype=torch.bool) for samples in raw]
    for modality in sorted(stream.kinds):
        having = [at for at, samples in enumerate(raw) if modality in samples.values]
        parts = [(raw[at].values[modality], raw[at].present[modality]) for at in having]
        encoded = encode_columns(
            parts, encoders[modality], kind=stream.kinds[modality], pool=pool, cache=cache,
            progress=partial(progress, modality),
        )  # fmt: skip
        for at, (tokens, broken) in zip(having, encoded, strict=True):
            columns[at][modality] = tokens
            for row, reason in broken.items():
                whole[at][row] = False
                sample = _rejected(raw[at], row, modality, reason)
                rejected.setdefault((sample.id, modality), sample)
    _check_share(raw, [*(r for r in stream.rejected if r.broken), *rejected.values()], max_rejected)
    encoded_samples = [
        _without(replace(samples, values={m: held[m] for m in samples.values}), good)
        for samples, held, good in zip(raw, columns, whole, strict=True)
    ]
    stages = _rebuilt(stream, encoded_samples)
    return replace(stream, stages=stages, rejected=(*stream.rejected, *rejected.values()))


def _check_fit(stream: Stream, encoders: Mapping[str, Encoder]) -> None:
    lacking, idle = sorted(set(stream.kinds) - set(encoders)), sorted(set(encoders) - set(stream.kinds))
    if lacking or idle:
        missing = f"no encoder for {', '.join(lacking)}" if lacking else f"{', '.join(idle)}: not in the stream"
        raise SettingsError(f"encoders: {missing}. Modalities of {stream.name!r}: {', '.join(sorted(stream.kinds))}")
    held = {m for stage in stream for split in SPLITS for m in getattr(stage, split).values}
    if not held <= set(stream.kinds):
        strange = ", ".join(sorted(held - set(stream.kinds)))
        raise DataError(
            f"stream {stream.name!r} has values of {strange}, and does not say which kind of signal that is"
        )
    for modality, kind in sorted(stream.kinds.items()):
        encoder = encoders[modality]
        if not encoder.reads(kind):
            raise SettingsError(
                f"encoders.{modality}: {encoder.name!r} reads {encoder.kind}, and {modality!r} of {stream.name!r} is "
                f"{kind}; `polymnia encoders` lists what reads what"
            )


def _check_share(raw: list[Samples], rejected: list[Rejected], allowed: float) -> None:
    """Refuse to go on without a large share of the data; rows that never became samples count like broken samples."""
    broken = {r.id for r in rejected}
    lost, total = len(broken), len(broken | {str(name) for samples in raw for name in samples.ids})
    if lost > allowed * total:
        first = rejected[0]
        raise DataError(
            f"{lost} of {total} samples are broken, more than the allowed share ({allowed:.0%}; setting max_rejected). "
            f"First: {first.id} ({first.modality}): {first.reason}"
        )


def _rejected(samples: Samples, row: int, modality: str, reason: str) -> Rejected:
    raw = samples.values[modality]
    value = raw[row] if not isinstance(raw, Tokens) else ""
    shown = f"{value.dtype} {value.shape}" if hasattr(value, "dtype") else str(value)[:200]
    return Rejected(str(samples.ids[row]), modality, shown, reason)


def _without(samples: Samples, good: torch.Tensor) -> Samples:
    return samples if bool(good.all()) else samples.subset(good.nonzero().flatten())


def _rebuilt(stream: Stream, encoded: list[Samples]) -> tuple[Stage, ...]:
    """Return the stages with their encoded samples, which stand in the order of stages and splits."""
    stages: list[Stage] = []
    for stage, at in zip(stream, range(0, len(encoded), len(SPLITS)), strict=True):
        held = dict(zip(SPLITS, encoded[at : at + len(SPLITS)], strict=True))
        if not len(held["train"]):
            raise DataError(
                f"stage {stage.index} ({stage.name}): all {len(stage.train)} training samples are broken, so that "
                f"nothing is left to learn from"
            )
        widths = {m: column.width for m, column in held["train"].values.items() if isinstance(column, Tokens)}
        stages.append(replace(stage, **held, widths=widths, earlier=tuple(stages)))
    return tuple(stages)
