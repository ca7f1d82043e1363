"""The results of an experiment: every run's figures, their means and intervals, and the verdicts."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from polymnia.evaluation.metrics import intransigence
from polymnia.evaluation.scores import Scores
from polymnia.evaluation.statistics import mean_interval
from polymnia.experiments.checks import FIGURES, PROBE
from polymnia.experiments.claims import Records, decide, figure
from polymnia.experiments.machine import agreed, machine, versions
from polymnia.experiments.plan import Plan, Planned
from polymnia.experiments.store import FORMAT
from polymnia.experiments.taken import SETTINGS, settings_digest


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
        "probes": scores.probes,
        "rejected": scores.rejected,
        "stages": scores.stages,
        "matrix": scores.matrix,
        "weights_sha256": scores.weights_sha256,
        SETTINGS: settings_digest(run.settings),
        **context,
    }


def context(jobs: int = 1) -> dict[str, Any]:
    """Return the versions and the machine of this process, which may be one of several that do runs."""
    return {"versions": versions(), "machine": machine(jobs)}


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
        "selected": {"seeds": list(plan.seeds), "streams": list(plan.streams), "methods": list(plan.methods)},
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
        "probes": {name: _mean([figure(run, name) for run in runs]) for name in probed(runs)},
    }


def probed(runs: list[dict[str, Any]]) -> list[str]:
    """Return the names that claims use for what the runs' probes measured, numbers only."""
    return sorted(
        {
            f"{PROBE}{probe}.{name}"
            for run in runs
            for probe, figures in run.get("probes", {}).items()
            for name, value in figures.items()
            if isinstance(value, float)
        }
    )


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
