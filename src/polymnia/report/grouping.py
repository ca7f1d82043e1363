"""Runs that differ in their seed only belong together: groups, their names, and which seeds can be paired."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Any

from polymnia.errors import StateError
from polymnia.evaluation.scores import Scores
from polymnia.report.folder import RunFolder, read_run
from polymnia.report.render import flat, written

Seed = tuple[int, int]
"""Of the run, and of its stream."""

NO_RESULT = ("checkpoint_seconds", "checkpoint_steps", "log_steps", "count_flops")
"""Settings of the trainer that change no score."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """Runs with the same settings but for the seed, by seed."""

    label: str
    settings: dict[str, Any]
    runs: dict[Seed, RunFolder]

    @property
    def method(self) -> str:
        """The method's name."""
        return str(self.settings["method"]["name"])

    @property
    def stream(self) -> str:
        """What must be equal for two groups to be compared: the stream's settings and what is scored on it."""
        return _key({"stream": self.settings["stream"], "metric": self.settings["metric"]})

    @property
    def stream_name(self) -> str:
        """The stream in a few words."""
        first = next(iter(self.runs.values())).stream
        return f"{first['name']}, {first['scenario']}, {len(first['stages'])} stages"

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of the runs."""
        return tuple(seed for seed, _ in self.runs)

    def values(self, figure: str) -> dict[Seed, float]:
        """Return a figure of every run that has it."""
        found = {seed: value_of(run.scores, figure) for seed, run in self.runs.items()}
        return {seed: value for seed, value in found.items() if not isnan(value)}


def value_of(scores: Scores, figure: str) -> float:
    """Return a figure of a run: one of `scores.json`, or one that its costs add up to."""
    costs = scores.cost
    match figure:
        case "seconds":
            return sum(cost.train_seconds + cost.evaluate_seconds for cost in costs)
        case "steps" | "samples" | "flops" | "disk_bytes":
            return float(sum(getattr(cost, figure) for cost in costs))
        case "trainable_parameters" | "memory_bytes" | "peak_memory_bytes":
            return float(max(getattr(cost, figure) for cost in costs))
        case _:
            return float(getattr(scores, figure))


def grouped(folders: Sequence[Path]) -> tuple[list[Group], list[str]]:
    """Return the groups in order of arrival, and a line for each run that was left out.

    Raises
    ------
    StateError
        A folder is not a run or has no scores, or no run has finished.
    """
    runs: dict[str, dict[Seed, RunFolder]] = {}
    settings: dict[str, dict[str, Any]] = {}
    notes: list[str] = []
    for folder in dict.fromkeys(Path(folder).resolve() for folder in folders):
        run = read_run(folder, whole=False)
        if not run.done:
            notes.append(
                f"{folder.name} is left out: {len(run.scores.stages)} of {run.total_stages} stages are scored. "
                f"Go on with: polymnia resume {folder.name}"
            )
            continue
        what, seed = _what(run), _seed(run)
        held = runs.setdefault(_key(what), {})
        settings[_key(what)] = what
        if seed in held:
            notes.append(f"{folder.name} is left out: it has the settings and the seed of {held[seed].path.name}")
            continue
        held[seed] = run
    if not runs:
        raise StateError("there is no finished run to compare. " + " ".join(notes))
    labels = _labels(list(settings.values()))
    groups = [
        Group(label=label, settings=settings[key], runs=dict(sorted(held.items())))
        for label, (key, held) in zip(labels, runs.items(), strict=True)
    ]
    return groups, notes


def same_stream(one: RunFolder, other: RunFolder) -> bool:
    """Whether two runs really met the same stages: classes, modalities and numbers of samples."""
    return _met(one.stream) == _met(other.stream)


def _met(stream: dict[str, Any]) -> tuple[Any, ...]:
    stages = [{key: value for key, value in stage.items() if key != "widths"} for stage in stream["stages"]]
    return stages, stream.get("class_names"), stream.get("kinds")  # widths tell the encoders apart, not the data


def _what(run: RunFolder) -> dict[str, Any]:
    """Return what makes two runs the same but for the seed."""
    given = run.scores.config
    parts = {name: _mapping(given.get(name)) for name in ("stream", "encoders", "model", "method", "trainer")}
    parts["stream"].pop("seed", None)
    for name in NO_RESULT:
        parts["trainer"].pop(name, None)
    return {**parts, "metric": run.scores.metric}


def _mapping(part: Any) -> dict[str, Any]:
    return dict(part) if isinstance(part, dict) else {"name": part}


def _seed(run: RunFolder) -> Seed:
    own = run.scores.config.get("stream", {}).get("seed", run.scores.seed)
    return run.scores.seed, int(own)


def _key(settings: dict[str, Any]) -> str:
    return json.dumps(settings, sort_keys=True)


def _labels(settings: Sequence[dict[str, Any]]) -> list[str]:
    """Name each group by its method and by those settings in which the groups differ."""
    flats = [flat(each) for each in settings]
    names = list(dict.fromkeys(name for each in flats for name in each if name != "method.name"))
    labels = []
    for mine in flats:
        peers = [each for each in flats if each["method.name"] == mine["method.name"]]
        parts = [str(mine["method.name"])]
        for name in names:
            among = peers if name.startswith("method.") else flats
            if name in mine and any(each.get(name) != mine[name] for each in among):
                parts.append(f"{name.removeprefix('method.')}={written(mine[name])}")
        labels.append(" ".join(parts))
    again = Counter(labels)
    return [label if again[label] == 1 else f"{label} ({i + 1})" for i, label in enumerate(labels)]
