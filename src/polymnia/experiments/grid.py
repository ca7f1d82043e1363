"""The grid of a sweep: every combination of the settings that are given several values, as runs."""

import hashlib
import json
import re
from collections.abc import Sequence
from itertools import product
from pathlib import Path

from polymnia.config import read
from polymnia.errors import SettingsError
from polymnia.experiments.doing import stream_key
from polymnia.experiments.plan import Planned
from polymnia.training.settings import RunSettings, run_settings

LONGEST = 120
"""Characters of a run's folder name."""


def values_of(text: str) -> list[str]:
    """Return the values of `key=v1,v2,…`; a comma within brackets or quotes parts nothing.

    Examples
    --------
    >>> values_of("ewc,lwf"), values_of("[image,text],[audio]")
    (['ewc', 'lwf'], ['[image,text]', '[audio]'])
    """
    values, depth, quote, begin = [], 0, "", 0
    for at, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter in "[{(":
            depth += 1
        elif letter in ")}]":
            depth -= 1
        elif letter == "," and depth == 0:
            values.append(text[begin:at])
            begin = at + 1
    return [*values, text[begin:]]


def planned(config: Path, grid: Sequence[str], seeds: Sequence[int] | None = None) -> list[Planned]:
    """Return the runs of a grid; those that share an encoded stream come one after the other.

    Parameters
    ----------
    config : Path
        A run's settings file.
    grid : sequence of str
        ``key=v1,v2`` each; with one value it holds for all runs.
    seeds : sequence of int, optional
        Each combination is run with each; the settings' own by default.

    Raises
    ------
    SettingsError
        A setting is not accepted, a value or a seed stands twice, or a run wants several processes: nothing has run.
    """
    named = [(key, _different(key, values_of(text))) for key, text in map(_parted, grid)]
    if seeds is not None and any(key == "seed" for key, _ in named):
        raise SettingsError("seed is given twice: as seed=… and by --seeds; use one of them")
    varied = [key for key, values in named if len(values) > 1 and key != "seed"]
    runs: list[Planned] = []
    for chosen in product(*(values for _, values in named)):
        pairs = [f"{key}={value}" for (key, _), value in zip(named, chosen, strict=True)]
        label = _folder([pair for pair in pairs if pair.split("=", 1)[0] in varied])
        for seed in _different("--seeds", list(map(str, seeds))) if seeds is not None else [None]:
            try:
                settings = run_settings(read(config, [*pairs, *([] if seed is None else [f"seed={seed}"])]))
            except SettingsError as error:
                raise SettingsError(f"{' '.join(pairs) or config}: {error}") from None
            runs.append(Planned("", label, settings.seed, _one_process(settings)))
    together: dict[str, list[Planned]] = {}
    for run in runs:
        together.setdefault(stream_key(run), []).append(run)
    return [run for members in together.values() for run in members]


def _parted(given: str) -> tuple[str, str]:
    key, equals, text = given.partition("=")
    if not key or not equals or not text:
        raise SettingsError(f"{given!r} is no part of a grid. Write key=v1,v2, for instance trainer.lr=0.01,0.001")
    return key, text


def _different(key: str, values: list[str]) -> list[str]:
    again = [value for at, value in enumerate(values) if value in values[:at] or not value]
    if again:
        raise SettingsError(
            f"{key}: {again[0]!r} " + ("stands twice" if again[0] else "is no value: a comma too many?")
        )
    return values


def _one_process(settings: RunSettings) -> RunSettings:
    trainer = settings.trainer
    if trainer.devices * trainer.num_nodes > 1:
        raise SettingsError(
            f"trainer.devices={trainer.devices}, trainer.num_nodes={trainer.num_nodes}: a run of a sweep is one "
            "process. Give devices=1 and more --jobs, or do the run by itself: polymnia run"
        )
    return settings


def _folder(pairs: Sequence[str]) -> str:
    """Return a name that says the settings, and tells apart what a file name cannot."""
    said = ",".join(pairs) or "run"
    name = re.sub(r"[^\w.,=+-]", "_", said)
    if name == said and len(name) <= LONGEST:
        return name
    return f"{name[:LONGEST]}-{hashlib.sha256(json.dumps(list(pairs)).encode()).hexdigest()[:8]}"
