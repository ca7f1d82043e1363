"""Encode everything that is there before anything is learned: afterwards the cache holds all that a run wants."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from polymnia.data.samples import Samples
from polymnia.data.tokens import Tokens
from polymnia.encoders.base import Encoder
from polymnia.encoders.cache import Cache
from polymnia.encoders.columns import encode_columns
from polymnia.encoders.values import Encode, encode_values
from polymnia.errors import SettingsError

Progress = Callable[[str, int, int], None]
"""Gets (modality, done, total)."""


@dataclass
class Filled:
    """What was done about one modality.

    Parameters
    ----------
    encoder : str
        Its name.
    values : int
        How many there are, repeated ones too.
    computed, found : int
        How many different ones the encoder was given, and how many the cache had.
    broken : dict
        Sample's id → why its value cannot be encoded.
    kept : bool
        Whether the encoder's tokens are kept on disk; those of ready numbers are not worth it.
    """

    encoder: str
    values: int = 0
    computed: int = 0
    found: int = 0
    broken: dict[str, str] = field(default_factory=dict)
    kept: bool = True

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return dict(vars(self))


def fill(
    lots: Sequence[Samples],
    encoders: Mapping[str, Encoder],
    kinds: Mapping[str, str],
    *,
    cache: Cache | None = None,
    encode: Encode = encode_values,
    progress: Progress = lambda modality, done, total: None,
) -> dict[str, Filled]:
    """Encode all values that the cache lacks, and return by modality what was done.

    Parameters
    ----------
    lots : sequence of Samples
        Raw: all splits of all stages, or a whole data set.
    encoders, kinds : Mapping
        Modality → encoder, and → kind of signal.
    cache : Cache, optional
        This machine's by default.
    encode : callable
        Computes what is lacking: `encode_values`, or `OnRay`.
    progress : callable, optional
        Gets (modality, done, total).

    Raises
    ------
    SettingsError
        An encoder reads another kind of signal than its modality is.
    StateError
        The cache cannot be written.
    """
    cache, done = Cache() if cache is None else cache, {}
    for modality in sorted(kinds):
        encoder, kind = encoders[modality], kinds[modality]
        if not encoder.reads(kind):
            raise SettingsError(
                f"encoders.{modality}: {encoder.name!r} reads {encoder.kind}, and {modality!r} is {kind}"
            )
        having = [samples for samples in lots if modality in samples.values]
        raw = [samples for samples in having if not isinstance(samples.values[modality], Tokens)]
        filled = done[modality] = Filled(encoder.name, kept=encoder.cached)
        filled.values = sum(int(samples.present[modality].sum()) for samples in raw)
        before = {name: getattr(cache.stats, name)[encoder.name] for name in ("computed", "found")}
        parts = [(samples.values[modality], samples.present[modality]) for samples in raw]
        if not filled.kept or not parts:
            continue
        columns = encode_columns(
            parts, encoder, kind=kind, pool=False, cache=cache, progress=partial(progress, modality), encode=encode
        )
        for samples, (_, broken) in zip(raw, columns, strict=True):
            filled.broken |= {str(samples.ids[row]): reason for row, reason in broken.items()}
        filled.computed = cache.stats.computed[encoder.name] - before["computed"]
        filled.found = cache.stats.found[encoder.name] - before["found"]
    return done
