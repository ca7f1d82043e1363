"""The results of an experiment: every run's figures, their means and intervals, and the verdicts, as one JSON file."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from polymnia.errors import StateError
from polymnia.evaluation.metrics import intransigence
from polymnia.evaluation.scores import Scores
from polymnia.evaluation.statistics import mean_interval
from polymnia.experiments.claims import Records, decide
from polymnia.experiments.machine import agreed, machine, versions
from polymnia.experiments.plan import FIGURES, Plan, Planned, selected
from polymnia.training.checkpoint import write_atomic

FORMAT = 1


@dataclass(frozen=True)
class Outcome:
    """The results of an experiment, and the file they are in."""

    results: dict[str, Any]
    path: Path

    def text(self) -> str:
        """Return the means and the verdicts as lines for a terminal."""
        held = self.results
        lines = [
            line for stream, methods in held["means"].items() for line in (*_table(stream, methods), "") if methods
        ]
        lines += [f"{stream} was left out: {why}" for stream, why in held["missing"].items()]
        lines += [f"{claim['verdict']:>13}  {claim['id']}" for claim in held["claims"]]
        kind = "partial results" if held["partial"] else "results" if held["complete"] else "unfinished results"
        return "\n".join((*lines, f"{kind}: {self.path}"))


def record(run: Planned, scores: Scores, context: Mapping[str, Any]) -> dict[str, Any]:
    """Return what results hold of one run; `context` is the versions and the machine it ran with."""
    cost = scores.cost
    return {
        "stream": run.stream,
        "method": run.method,
        "seed": run.seed,
        "final_average": scores.final_average,
        "average_incremental": scores.average_incremental,
        "forgetting": scores.forgetting,
        "backward_transfer": scores.backward_transfer,
        "learning_accuracy": scores.learning_accuracy,
        "seconds": sum(stage.train_seconds for stage in cost),
        "evaluate_seconds": sum(stage.evaluate_seconds for stage in cost),
        "trainable_parameters": cost[-1].trainable_parameters,
        "memory_bytes": cost[-1].memory_bytes,
        "steps": sum(stage.steps for stage in cost),
        "samples": sum(stage.samples for stage in cost),
        "per_subset": scores.per_subset,
        "rejected": scores.rejected,
        "stages": scores.stages,
        "matrix": scores.matrix,
        "weights_sha256": scores.weights_sha256,
        **context,
    }


def context() -> dict[str, Any]:
    """Return the versions and the machine of this process."""
    return {"versions": versions(), "machine": machine()}


def assemble(plan: Plan, records: Records, missing: Mapping[str, str]) -> dict[str, Any]:
    """Return the whole of the results.

    Parameters
    ----------
    plan : Plan
        What was to be done.
    records : Mapping
        (stream, method, seed) → what `record` returned, for every run that is done.
    missing : Mapping
        Stream → why it could not be built.
    """
    runs = [dict(records[key]) for run in plan.runs if (key := (run.stream, run.method, run.seed)) in records]
    _add_intransigence(runs, plan)
    done = {(run["stream"], run["method"], run["seed"]): run for run in runs}
    here = context()
    return {
        "format": FORMAT,
        "name": plan.name,
        "title": plan.settings.title,
        "question": plan.settings.question,
        "partial": plan.partial,
        "complete": len(runs) == len(plan.seeds) * len(plan.streams) * len(plan.methods),
        "selected": selected(plan),
        "missing": dict(missing),
        "seeds": list(plan.seeds),
        "versions": agreed(run.pop("versions") for run in runs) or here["versions"],
        "machine": agreed(run.pop("machine") for run in runs) or here["machine"],
        "settings": {key: value for key, value in asdict(plan.settings).items() if key != "claims"},
        "method_settings": plan.method_settings,
        "means": {
            stream: {
                method: means([run for run in runs if (run["stream"], run["method"]) == (stream, method)])
                for method in plan.methods
                if any((run["stream"], run["method"]) == (stream, method) for run in runs)
            }
            for stream in plan.streams
        },
        "claims": [
            decide(claim, done, streams=tuple(plan.settings.streams), seeds=plan.seeds, missing=missing)
            for claim in plan.settings.claims
        ],
        "runs": runs,
    }


def means(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return figure → mean over seeds, half width of its 95 % interval and number of seeds; subsets likewise."""
    table = {name: _mean([run.get(name) for run in runs]) for name in FIGURES}
    subsets = dict.fromkeys(name for run in runs for name in run["per_subset"])
    return {
        **{name: value for name, value in table.items() if value is not None},
        "per_subset": {name: _mean([run["per_subset"].get(name) for run in runs]) for name in subsets},
    }


def write_results(path: Path, results: Mapping[str, Any]) -> None:
    """Write results so that a reader sees the old file or the new one, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, dumps(results).encode())


def read_results(path: Path) -> dict[str, Any]:
    """Return results that `write_results` wrote.

    Raises
    ------
    StateError
        The file is missing, damaged, or of another format.
    """
    try:
        results = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise StateError(f"{path} is not there; make it with: polymnia reproduce {path.stem}") from None
    except ValueError as error:
        raise StateError(f"{path} is damaged: {error}") from None
    if not isinstance(results, dict) or results.get("format") != FORMAT:
        raise StateError(f"{path} is not the results of an experiment in format {FORMAT}")
    return results


def dumps(results: Mapping[str, Any]) -> str:
    """Return results as JSON, one run, comparison or group a line, figures rounded to 6 digits.

    Examples
    --------
    >>> print(dumps({"seeds": [0, 1], "runs": [{"seed": 0, "matrix": [[0.1234567]]}]}), end="")
    {
     "seeds": [
      0,
      1
     ],
     "runs": [
      {"seed": 0, "matrix": [[0.123457]]}
     ]
    }
    """
    return _lines(_rounded(results), 0) + "\n"


def _table(stream: str, methods: Mapping[str, Any]) -> list[str]:
    shown = ("final_average", "forgetting", "learning_accuracy")
    width = max((len(name) for name in (stream, *methods)), default=0)
    head = f"{stream:<{width}}" + "".join(f"{name.replace('_', ' '):>20}" for name in shown)
    return [head] + [
        f"{label:<{width}}" + "".join(f"{_with_interval(figures.get(name)):>20}" for name in shown)
        for label, figures in methods.items()
    ]


def _with_interval(given: Mapping[str, Any] | None) -> str:
    if given is None:
        return "–"
    half = given["half_width"]
    return f"{given['mean']:.3f}" + ("" if half is None else f" ± {half:.3f}")


def _lines(value: Any, depth: int) -> str:
    """Return JSON that opens mappings and lists to a depth of two, and writes what is deeper on one line."""
    if not isinstance(value, dict | list) or not value or depth >= 2:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    pad, end = " " * (depth + 1), " " * depth
    if isinstance(value, list):
        return "[\n" + ",\n".join(pad + _lines(item, depth + 1) for item in value) + f"\n{end}]"
    items = (f"{pad}{json.dumps(key)}: {_lines(item, depth + 1)}" for key, item in value.items())
    return "{\n" + ",\n".join(items) + f"\n{end}}}"


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6) if isfinite(value) else None
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list | tuple) else value


def _mean(values: list[Any]) -> dict[str, Any] | None:
    held = [value for value in values if value is not None]
    if not held:
        return None
    mean, half_width = mean_interval(held)
    return {"mean": mean, "half_width": half_width, "n": len(held)}


def _add_intransigence(runs: list[dict[str, Any]], plan: Plan) -> None:
    """Give each run its distance from joint training with the same stream and seed, where there is one."""
    named = plan.method_settings
    joint = {(run["stream"], run["seed"]): run for run in runs if named[run["method"]]["name"] == "joint"}
    for run in runs:
        other = joint.get((run["stream"], run["seed"]))
        run["intransigence"] = None if other is None else intransigence(run["matrix"], other["matrix"])
