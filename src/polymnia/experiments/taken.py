"""Take over runs of an experiment that were done elsewhere: on another machine, or in another clone."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from polymnia.errors import SettingsError
from polymnia.experiments.defaults import in_full
from polymnia.experiments.plan import Plan
from polymnia.experiments.store import read_results
from polymnia.training.settings import RunSettings

SETTINGS = "settings_sha256"
"""Of a run's record: the digest of its settings in full."""


@dataclass
class Taken:
    """What results made elsewhere hold of a plan.

    Parameters
    ----------
    records : dict
        (stream, method, seed) → the run's record, with the versions and the machine of its results.
    others : int
        How many runs they hold beside: of other settings, or of none that are planned.
    """

    records: dict[tuple[str, str, int], dict[str, Any]] = field(default_factory=dict)
    others: int = 0


def taken_over(plan: Plan, paths: Iterable[Path]) -> Taken:
    """Return the runs of a plan that results hold, finished or not; earlier files go before later ones.

    A run is taken if its settings, with the defaults that its parts have now, are those of the plan.

    Raises
    ------
    StateError
        A file is missing or damaged.
    SettingsError
        A file holds the results of another experiment.
    """
    wanted = {(run.stream, run.method, run.seed): settings_digest(run.settings) for run in plan.runs}
    taken = Taken()
    for path in paths:
        results = read_results(path)
        if results["name"] != plan.name:
            raise SettingsError(
                f"{path} holds results of the experiment {results['name']!r}, and this one is {plan.name!r}"
            )
        context = {name: results[name] for name in ("versions", "machine")}
        for run in results["runs"]:
            key = run["stream"], run["method"], run["seed"]
            if SETTINGS in run and run[SETTINGS] == wanted.get(key):
                taken.records.setdefault(key, {**run, **context})
            else:
                taken.others += 1
    return taken


def settings_digest(settings: RunSettings) -> str:
    """Return a digest of a run's settings in full: equal for runs that do the same."""
    return hashlib.sha256(json.dumps(in_full(settings), sort_keys=True).encode()).hexdigest()[:16]
