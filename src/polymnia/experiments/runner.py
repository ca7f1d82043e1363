"""Reproduce an experiment: do every run that is not done, and write the results after each."""

import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polymnia.errors import Interrupted, SettingsError, StateError
from polymnia.evaluation.scores import Scores, read_scores
from polymnia.experiments.doing import CONTEXT, Doing, ran_with_these
from polymnia.experiments.loading import load_plan
from polymnia.experiments.outcome import Outcome
from polymnia.experiments.plan import Plan, Planned
from polymnia.experiments.processes import Processes
from polymnia.experiments.results import assemble, context, record
from polymnia.experiments.store import read_results, write_results
from polymnia.experiments.taken import taken_over
from polymnia.training.checkpoint import alone
from polymnia.training.trainer import Event


def reproduce(
    name_or_path: str | Path,
    *,
    overrides: Sequence[str] = (),
    out: Path | None = None,
    results: Path | None = None,
    listen: Callable[[Event], None] = lambda event: None,
    fresh: bool = False,
    keep_weights: bool = False,
    jobs: int = 1,
    taken: Sequence[Path] = (),
) -> Outcome:
    """Do an experiment, or what is left of it, and return its results.

    Parameters
    ----------
    name_or_path : str or Path
        `experiments/NAME.yaml` by its name, or a file by path.
    overrides : sequence of str
        ``seeds=2``, ``streams=[…]``, ``methods=[…]`` or ``key=value``. The results of such a partial experiment go
        to `out`, never to `results`, and say that they are partial.
    out : Path, optional
        Where the runs' folders go; ``runs/experiments``.
    results : Path, optional
        Where ``NAME.json`` goes at the end; ``results``. Until then the results so far are beside the runs.
    listen : callable
        Gets every event of every run (with `at`: which one), and the experiment's own, by `kind`: "experiment",
        "taken", "stream", "missing", "begin", "end", "written".
    fresh : bool
        Do every run again, also those that are done.
    keep_weights : bool
        Keep the states of finished runs; without it a run's folder keeps its scores and its log only.
    jobs : int
        How many processes do runs at once. Scores do not depend on it; how long runs take does.
    taken : sequence of Path
        Results of this experiment, finished or not, that were made elsewhere: what they hold is not done again.

    Raises
    ------
    SettingsError
        Something in the experiment is not accepted, or `taken` is of another one; nothing has run.
    StateError
        A file in `taken` is missing or damaged; nothing has run.
    Interrupted
        It was asked to stop; called again, it goes on.
    """
    if jobs < 1:
        raise SettingsError(f"jobs: {jobs} is given; at least 1 is needed")
    plan = load_plan(name_or_path, overrides)
    folder = (out or Path("runs/experiments")) / (f"{plan.name}-changed" if plan.changed else plan.name)
    path = folder / "partial.json" if plan.partial else (results or Path("results")) / f"{plan.name}.json"
    with alone(folder):
        try:
            return _Experiment(plan, folder, path, listen, keep_weights, jobs, taken).go(fresh=fresh)
        except Interrupted as error:
            over = [f"--from {path}" for path in taken]
            again = " ".join(["polymnia reproduce", str(name_or_path), *overrides, *over])
            raise Interrupted(f"{str(error).split('Go on with:')[0]}Go on with: {again}") from None


@dataclass
class _Experiment:
    plan: Plan
    folder: Path
    path: Path
    listen: Callable[[Event], None]
    keep_weights: bool
    jobs: int
    taken: Sequence[Path]

    def go(self, *, fresh: bool) -> Outcome:
        """Do every run that is not done."""
        self.missing: dict[str, str] = {}
        context()  # now: the digest is of the code that this process has loaded
        runs, taken = self.plan.runs, taken_over(self.plan, self.taken)
        if self.taken:
            self.listen({"kind": "taken", "runs": len(taken.records), "others": taken.others})
        if fresh:
            for run in runs:
                shutil.rmtree(self.folder / run.place, ignore_errors=True)
        self.total, self.began, self.worked = len(runs), time.monotonic(), 0
        own = {_key(run): found for run in runs if (found := self._found(run)) is not None}
        self.records = taken.records | own
        self.left = self.total - len(self.records)
        self.listen({"kind": "experiment", "runs": self.total, "left": self.left})
        waiting = (run for run in runs if _key(run) not in self.records and run.stream not in self.missing)
        doing = Doing(self.folder, self.jobs, self.keep_weights, self._tell)
        for run, missing in (doing if self.jobs == 1 else Processes(doing)).in_turn(waiting):
            if missing is None:
                self._take_in(run)
            elif run.stream not in self.missing:
                self._leave_out(run.stream, missing.reason)
        return self._write(last=True)

    def _tell(self, event: Event) -> None:
        known = {"left": self.left, "runs": self.total, "seconds_left": self._seconds_left()}
        self.listen({**event, **known} if event["kind"] == "begin" else event)

    def _take_in(self, run: Planned) -> None:
        """Write what a run that is done has found."""
        found = self._found(run)
        assert found is not None, f"{run.place} is done, and its scores are those of a whole run"
        self.records[_key(run)] = found
        self.left, self.worked = self.left - 1, self.worked + 1
        self._write()
        at = {"stream": run.stream, "method": run.method, "seed": run.seed}
        self.listen({"kind": "end", "final_average": found["final_average"], "left": self.left, **at})

    def _leave_out(self, stream: str, reason: str) -> None:
        """Note that a stream cannot be built: its runs are left out, and it is said why."""
        self.missing[stream] = reason
        self.left -= sum(run.stream == stream and _key(run) not in self.records for run in self.plan.runs)
        self.listen({"kind": "missing", "stream": stream, "reason": reason})

    def _found(self, run: Planned) -> dict[str, Any] | None:
        """Return the record of a run that is done with these very settings, or None."""
        folder = self.folder / run.place
        try:
            if not ran_with_these(folder, run.settings):
                return None
            scores = read_scores(folder)
            ran_with = json.loads((folder / CONTEXT).read_bytes())
            del ran_with["settings"]
        except (StateError, OSError, ValueError):
            return None
        return record(run, scores, ran_with) if finished(scores) else None

    def _write(self, *, last: bool = False) -> Outcome:
        """Write the results so far beside the runs; the last ones where they belong.

        Complete results are only ever replaced by complete ones.
        """
        results = assemble(self.plan, self.records, self.missing)
        unfinished = self.folder / "unfinished.json"
        settled = results["complete"] or (last and not _complete(self.path))
        path = self.path if settled else unfinished
        write_results(path, results)
        if settled:
            unfinished.unlink(missing_ok=True)
        self.listen({"kind": "written", "path": str(path), "complete": results["complete"]})
        return Outcome(results, path)

    def _seconds_left(self) -> float | None:
        return (time.monotonic() - self.began) / self.worked * self.left if self.worked else None


def finished(scores: Scores) -> bool:
    """Return whether scores are those of a whole run: a row of the matrix for each of its columns."""
    return bool(scores.matrix) and len(scores.matrix) == len(scores.matrix[0])


def _complete(path: Path) -> bool:
    try:
        return bool(read_results(path)["complete"])
    except StateError:
        return False


def _key(run: Planned) -> tuple[str, str, int]:
    return run.stream, run.method, run.seed
