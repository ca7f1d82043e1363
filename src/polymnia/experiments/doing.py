"""Do runs of an experiment one after another; those that learn from one encoded stream share it."""

import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from polymnia.data.stage import Stream
from polymnia.errors import DataError, MissingExtra, StateError
from polymnia.experiments.defaults import in_full
from polymnia.experiments.plan import Planned
from polymnia.experiments.results import context
from polymnia.training.build import wanted_tokens
from polymnia.training.checkpoint import REST, TENSORS, Checkpoints, write_atomic
from polymnia.training.folder import read_settings
from polymnia.training.run import Run, prepare
from polymnia.training.settings import RunSettings
from polymnia.training.trainer import Event

CONTEXT = "experiment.json"
"""In a run's folder: the versions, the machine, and the settings in full that it ran with."""


@dataclass(frozen=True)
class Missing:
    """A run that cannot be done, for its stream cannot be built."""

    reason: str


@dataclass
class Doing:
    """Does runs, and keeps the newest encoded stream for those that follow.

    Parameters
    ----------
    folder : Path
        The experiment's; runs have folders below it.
    jobs : int
        How many processes do runs at once; it is noted with each, for they share what the machine has.
    keep_weights : bool
        Keep the states of finished runs.
    listen : callable
        Gets the events of runs, with `at`: which one; and "stream" and "begin".
    """

    folder: Path
    jobs: int
    keep_weights: bool
    listen: Callable[[Event], None]

    def __post_init__(self) -> None:
        self.held: tuple[str, Stream] | None = None

    def in_turn(self, runs: Iterable[Planned]) -> Iterator[tuple[Planned, Missing | None]]:
        """Do runs, and yield each when it is done, or when it is seen that it cannot be."""
        for run in runs:
            yield run, self.do(run)

    def do(self, run: Planned) -> Missing | None:
        """Do one run, or what is left of it."""
        try:
            stream = self._stream(run)
        except (DataError, MissingExtra) as error:
            return Missing(str(error))
        folder = self.folder / run.place
        at = {"stream": run.stream, "method": run.method, "seed": run.seed}
        self.listen({"kind": "begin", "how": self._ready(folder, run.settings), **at})
        ran_with = context(self.jobs) | {"settings": in_full(run.settings)}
        write_atomic(folder / CONTEXT, json.dumps(ran_with, indent=1).encode())
        Run(run.settings, folder, stream=stream, listen=lambda event: self.listen({**event, "at": at})).go()
        if not self.keep_weights:
            _without_weights(folder)
        return None

    def _stream(self, run: Planned) -> Stream:
        key = stream_key(run)
        if self.held is None or self.held[0] != key:
            self.held = None  # before the next is made: two may not fit
            self.listen({"kind": "stream", "stream": run.stream, "seed": run.seed})
            self.held = key, prepare(run.settings, listen=self.listen)
        return self.held[1]

    def _ready(self, folder: Path, settings: RunSettings) -> str:
        """Make room for a run and return how it is done: "new", "resumed", or "again" and why."""
        folder.mkdir(parents=True, exist_ok=True)
        how, states = "new", Checkpoints(folder / "state")
        if (folder / "settings.json").exists():
            try:
                if not ran_with_these(folder, settings):
                    how = "again: its settings were others"
                elif (newest := states.newest()) is None:
                    how = "again: it has no state"
                else:
                    states.load(newest)  # it says so when it is damaged
                    return "resumed"
            except StateError as error:
                how = f"again: {error}"
        shutil.rmtree(folder)
        folder.mkdir(parents=True)
        return how


def _without_weights(folder: Path) -> None:
    """Remove a finished run's states; what probes wrote of each stage stays, for its report."""
    shutil.rmtree(folder / "state", ignore_errors=True)
    for stage in (folder / "stages").iterdir():
        for name in (TENSORS, REST):
            (stage / name).unlink(missing_ok=True)
        if not any(stage.iterdir()):
            stage.rmdir()


def ran_with_these(folder: Path, settings: RunSettings) -> bool:
    """Return whether a run was made with these settings, and with the defaults that its parts have now."""
    try:
        held = json.loads((folder / CONTEXT).read_bytes())["settings"]
    except (OSError, ValueError, KeyError):
        return False
    return in_full(read_settings(folder)) == held == in_full(settings)


def stream_key(run: Planned) -> str:
    """Return equal texts for runs whose encoded streams are equal."""
    s = run.settings
    return json.dumps([run.stream, run.seed, s.stream, s.encoders, wanted_tokens(s), s.max_rejected], sort_keys=True)
