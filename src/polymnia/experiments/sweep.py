"""A sweep: a grid of settings as runs, each in a folder of its own, to be compared."""

import shutil
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from polymnia.cluster import Engine, cluster
from polymnia.errors import Interrupted, SettingsError, StateError
from polymnia.evaluation.scores import read_scores
from polymnia.experiments.doing import Doing, Missing, ran_with_these
from polymnia.experiments.grid import planned
from polymnia.experiments.on_ray import OnRay
from polymnia.experiments.plan import Planned
from polymnia.experiments.processes import Processes
from polymnia.experiments.runner import finished
from polymnia.training.checkpoint import alone
from polymnia.training.trainer import Event


@dataclass
class Swept:
    """What a sweep left behind.

    Parameters
    ----------
    folders : list of Path
        Of the runs that are done, in the order of the grid.
    missing : dict
        Run's folder → why its stream cannot be built.
    """

    folders: list[Path] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)


def sweep(
    config: Path,
    grid: Sequence[str],
    *,
    seeds: Sequence[int] | None = None,
    out: Path | None = None,
    engine: Engine = "local",
    jobs: int | None = None,
    fresh: bool = False,
    keep_weights: bool = True,
    listen: Callable[[Event], None] = lambda event: None,
) -> Swept:
    """Do every run of a grid that is not done, and go on with those that were stopped.

    Parameters
    ----------
    config : Path
        A run's settings file.
    grid : sequence of str
        ``key=v1,v2`` each; every combination is a run.
    seeds : sequence of int, optional
        Each combination is run with each.
    out : Path, optional
        Where the runs' folders go; ``runs/sweeps/NAME`` of the settings file.
    engine : {"local", "ray"}
        Processes of this machine, or tasks of a Ray cluster.
    jobs : int, optional
        How many runs are done at once: 1 locally, the cluster's number of cores with Ray.
    fresh : bool
        Do every run again, also those that are done.
    keep_weights : bool
        Keep the states of finished runs; without it they keep their scores and their log only.
    listen : callable
        Gets the events of runs, and "sweep", "begin", "end", "missing" of the sweep; with Ray, a run's "begin" is heard
        when it is done, and its own events are in its folder only.

    Raises
    ------
    SettingsError
        Something in the grid is not accepted; nothing has run.
    Interrupted
        It was asked to stop; called again, it goes on.
    """
    if jobs is not None and jobs < 1:
        raise SettingsError(f"jobs: {jobs} is given; at least 1 is needed")
    runs, folder = planned(config, grid, seeds), out or Path("runs/sweeps") / config.stem
    with alone(folder):
        if fresh:
            for run in runs:
                shutil.rmtree(folder / run.place, ignore_errors=True)
        left = [run for run in runs if not is_done(folder / run.place, run)]
        listen({"kind": "sweep", "runs": len(runs), "left": len(left)})
        swept = Swept()
        with cluster(jobs) if engine == "ray" and left else nullcontext(jobs or 1) as at_once:
            doing = Doing(folder, min(at_once, max(len(left), 1)), keep_weights, listen)
            try:
                for run, missing in _doer(doing, engine).in_turn(left):
                    _take_in(run, missing, swept, folder, listen)
            except Interrupted as error:
                said = str(error).split("Go on with:")[0]
                raise Interrupted(f"{said}Go on with: the same polymnia sweep") from None
        swept.folders = [folder / run.place for run in runs if str(run.place) not in swept.missing]
        return swept


def _doer(doing: Doing, engine: Engine) -> Any:
    if engine == "ray":
        return OnRay(doing)
    return doing if doing.jobs == 1 else Processes(doing)


def _take_in(
    run: Planned, missing: Missing | None, swept: Swept, folder: Path, listen: Callable[[Event], None]
) -> None:
    if missing is not None:
        swept.missing[str(run.place)] = missing.reason
        listen({"kind": "missing", "stream": str(run.place), "reason": missing.reason})
        return
    figures = read_scores(folder / run.place)
    listen({"kind": "end", "folder": str(folder / run.place), "final_average": figures.final_average})


def is_done(folder: Path, run: Planned) -> bool:
    """Return whether a run is whole, with these very settings."""
    try:
        return ran_with_these(folder, run.settings) and finished(read_scores(folder))
    except StateError:
        return False
