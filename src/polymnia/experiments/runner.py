"""Reproduce an experiment: do every run that is not done, and write the results after each."""

import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from polymnia.data.stage import Stream
from polymnia.errors import DataError, Interrupted, MissingExtra, StateError
from polymnia.evaluation.scores import Scores, read_scores
from polymnia.experiments.defaults import in_full
from polymnia.experiments.loading import load_plan
from polymnia.experiments.outcome import Outcome
from polymnia.experiments.plan import Plan, Planned
from polymnia.experiments.results import assemble, context, record
from polymnia.experiments.store import read_results, write_results
from polymnia.training.build import wanted_tokens
from polymnia.training.checkpoint import Checkpoints, alone, write_atomic
from polymnia.training.folder import read_settings
from polymnia.training.run import Run, prepare
from polymnia.training.settings import RunSettings
from polymnia.training.trainer import Event

CONTEXT = "experiment.json"
"""In a run's folder: the versions, the machine, and the settings in full that it ran with."""


def reproduce(
    name_or_path: str | Path,
    *,
    overrides: Sequence[str] = (),
    out: Path | None = None,
    results: Path | None = None,
    listen: Callable[[Event], None] = lambda event: None,
    fresh: bool = False,
    keep_weights: bool = False,
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
        "stream", "missing", "begin", "end", "written".
    fresh : bool
        Do every run again, also those that are done.
    keep_weights : bool
        Keep the states of finished runs; without it a run's folder keeps its scores and its log only.

    Raises
    ------
    SettingsError
        Something in the experiment is not accepted; nothing has run.
    Interrupted
        It was asked to stop; called again, it goes on.
    """
    plan = load_plan(name_or_path, overrides)
    folder = (out or Path("runs/experiments")) / (f"{plan.name}-changed" if plan.changed else plan.name)
    path = folder / "partial.json" if plan.partial else (results or Path("results")) / f"{plan.name}.json"
    with alone(folder):
        try:
            return _Experiment(plan, folder, path, listen, keep_weights).go(fresh=fresh)
        except Interrupted as error:
            again = " ".join(["polymnia reproduce", str(name_or_path), *overrides])
            raise Interrupted(f"{str(error).split('Go on with:')[0]}Go on with: {again}") from None


@dataclass
class _Experiment:
    plan: Plan
    folder: Path
    path: Path
    listen: Callable[[Event], None]
    keep_weights: bool

    def go(self, *, fresh: bool) -> Outcome:
        """Do every run that is not done."""
        self.missing: dict[str, str] = {}
        context()  # now: the digest is of the code that this process has loaded
        runs = self.plan.runs
        if fresh:
            for run in runs:
                shutil.rmtree(self.folder / run.place, ignore_errors=True)
        self.total, self.began, self.worked = len(runs), time.monotonic(), 0
        self.records = {_key(run): found for run in runs if (found := self._found(run)) is not None}
        self.left = self.total - len(self.records)
        self.listen({"kind": "experiment", "runs": self.total, "left": self.left})
        for _, sharing in groupby((run for run in runs if _key(run) not in self.records), key=_stream_key):
            self._on_one_stream(list(sharing))
        return self._write(last=True)

    def _on_one_stream(self, runs: list[Planned]) -> None:
        """Do runs that share an encoded stream; without the stream they are left out, and it is said why."""
        first = runs[0]
        if first.stream in self.missing:
            return
        self.listen({"kind": "stream", "stream": first.stream, "seed": first.seed})
        try:
            stream = prepare(first.settings, listen=self.listen)
        except (DataError, MissingExtra) as error:
            self.missing[first.stream] = str(error)
            self.left -= sum(run.stream == first.stream and _key(run) not in self.records for run in self.plan.runs)
            self.listen({"kind": "missing", "stream": first.stream, "reason": str(error)})
            return
        for run in runs:
            self._one(run, stream)

    def _one(self, run: Planned, stream: Stream) -> None:
        folder = self.folder / run.place
        how = self._ready(folder, run.settings)
        at = {"stream": run.stream, "method": run.method, "seed": run.seed}
        self.listen({"kind": "begin", "how": how, "left": self.left, "runs": self.total,
                     "seconds_left": self._seconds_left(), **at})  # fmt: skip
        ran_with = context() | {"settings": in_full(run.settings)}
        write_atomic(folder / CONTEXT, json.dumps(ran_with, indent=1).encode())
        scores = Run(run.settings, folder, stream=stream, listen=lambda event: self.listen({**event, "at": at})).go()
        self.records[_key(run)] = record(run, scores, context())
        self.left, self.worked = self.left - 1, self.worked + 1
        if not self.keep_weights:
            for part in ("state", "stages"):
                shutil.rmtree(folder / part, ignore_errors=True)
        self._write()
        self.listen({"kind": "end", "final_average": scores.final_average, "left": self.left, **at})

    def _found(self, run: Planned) -> dict[str, Any] | None:
        """Return the record of a run that is done with these very settings, or None."""
        folder = self.folder / run.place
        try:
            if not _same(folder, run.settings):
                return None
            scores = read_scores(folder)
            ran_with = json.loads((folder / CONTEXT).read_bytes())
            del ran_with["settings"]
        except (StateError, OSError, ValueError):
            return None
        return record(run, scores, ran_with) if finished(scores) else None

    def _ready(self, folder: Path, settings: RunSettings) -> str:
        """Make room for a run and return how it is done: "new", "resumed", or "again" and why."""
        folder.mkdir(parents=True, exist_ok=True)
        how = "new"
        if (folder / "settings.json").exists():
            try:
                if not _same(folder, settings):
                    how = "again: its settings were others"
                elif Checkpoints(folder / "state").newest() is None:
                    how = "again: it has no state"
                else:
                    return "resumed"
            except StateError as error:
                how = f"again: {error}"
        shutil.rmtree(folder)
        folder.mkdir(parents=True)
        return how

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


def _same(folder: Path, settings: RunSettings) -> bool:
    """Return whether a run was made with these settings, and with the defaults that its parts have now."""
    try:
        held = json.loads((folder / CONTEXT).read_bytes())["settings"]
    except (OSError, ValueError, KeyError):
        return False
    return in_full(read_settings(folder)) == held == in_full(settings)


def _complete(path: Path) -> bool:
    try:
        return bool(read_results(path)["complete"])
    except StateError:
        return False


def _key(run: Planned) -> tuple[str, str, int]:
    return run.stream, run.method, run.seed


def _stream_key(run: Planned) -> str:
    """Return equal texts for runs whose encoded streams are equal."""
    s = run.settings
    return json.dumps([run.stream, run.seed, s.stream, s.encoders, wanted_tokens(s), s.max_rejected], sort_keys=True)
