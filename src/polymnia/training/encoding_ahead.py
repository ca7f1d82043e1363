"""Encode a run's stream, or own data, before the run: the run then finds all its tokens in the cache."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from polymnia.cluster import Engine, cluster
from polymnia.config import Named, read
from polymnia.data.own import SETTINGS, source_asked_for, source_of
from polymnia.data.samples import Samples
from polymnia.data.scenario import SPLITS
from polymnia.encoders.base import Encoder
from polymnia.encoders.filling import Filled, fill
from polymnia.encoders.on_ray import OnRay
from polymnia.encoders.values import encode_values
from polymnia.errors import SettingsError
from polymnia.training.build import build_encoders, build_layers, build_stream
from polymnia.training.settings import run_settings

Wanted = tuple[list[Samples], Mapping[str, Encoder], Mapping[str, str]]
"""Samples, and by modality the encoder and the kind of signal."""


def encode_ahead(
    given: str,
    overrides: list[str],
    *,
    encoders: Named | None = None,
    engine: Engine = "local",
    workers: int | None = None,
    progress: Callable[[str, int, int], None] = lambda modality, done, total: None,
) -> dict[str, Filled]:
    """Encode all samples of a run's stream, or of own data, into this machine's cache.

    Parameters
    ----------
    given : str
        A run's settings file, or data: a source, a manifest, a folder.
    overrides : list of str
        The settings as key=value.
    encoders : Mapping or str, optional
        Modality → encoder; the settings file's, or the bundled ones, by default.
    engine : {"local", "ray"}
        This process, or the workers of a Ray cluster.
    workers : int, optional
        How many blocks of values are encoded at once, with Ray; its number of cores by default.

    Returns
    -------
    dict
        Modality → what was done; what is broken is in it with its reason.

    Raises
    ------
    SettingsError
        The settings or the encoders do not fit the data, or workers are asked for without Ray.
    MissingExtra
        Ray is not installed.
    """
    if engine == "local" and workers not in (None, 1):
        raise SettingsError(f"workers: {workers} is given, and engine 'local' is this one process; use --engine ray")
    samples, built, kinds = _wanted(given, overrides, encoders)
    with nullcontext(0) if engine == "local" else cluster(workers) as at_once:
        encode: Any = encode_values if engine == "local" else OnRay(at_once)
        return fill(samples, built, kinds, encode=encode, progress=progress)


def _wanted(given: str, overrides: list[str], encoders: Named | None) -> Wanted:
    path = Path(given).expanduser()
    if path.suffix.lower() in SETTINGS and "stream" in read(path):
        return _of_run(read(path, overrides), encoders)
    dataset = source_of(source_asked_for(given, overrides)).load()
    return [dataset.samples], build_encoders(_each(encoders or "bundled", dataset.kinds), dataset.kinds), dataset.kinds


def _of_run(given: dict[str, Any], encoders: Named | None) -> Wanted:
    settings = run_settings(given if encoders is None else {**given, "encoders": encoders})
    stream = build_stream(settings.stream, seed=settings.seed)
    samples = [getattr(stage, split) for stage in stream for split in SPLITS]
    built, _ = build_layers(settings, stream.kinds)
    return samples, _each(built, stream.kinds), stream.kinds


def _each(encoders: Any, kinds: Mapping[str, str]) -> Any:
    """Refuse a mapping that is not of the data's modalities."""
    if isinstance(encoders, Mapping) and encoders.keys() != kinds.keys():
        raise SettingsError(
            f"encoders: {', '.join(sorted(encoders)) or 'none'} given, and the data has "
            f"{', '.join(sorted(kinds))}: one for each is needed"
        )
    return encoders
