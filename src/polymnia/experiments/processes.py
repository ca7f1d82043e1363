"""Do runs of an experiment in several processes at once; scores do not depend on how many there are."""

import os
import signal
import traceback
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any

from polymnia.errors import Interrupted, PolymniaError, StateError
from polymnia.experiments.doing import Doing, Missing
from polymnia.experiments.plan import Planned
from polymnia.training.signals import Catching


@dataclass
class _Worker:
    process: BaseProcess
    line: Connection
    run: Planned | None = None

    def give(self, run: Planned | None) -> None:
        """Hand over a run, or None: there are no more."""
        self.run = run
        self.line.send(run)


class Processes:
    """Does runs in several processes, each of which does one after another.

    Parameters
    ----------
    doing : Doing
        How a run is done, and who hears of it; `doing.jobs` is how many processes there are.
    """

    def __init__(self, doing: Doing) -> None:
        self.doing = doing
        self.stopped: Interrupted | None = None
        self.asked = False

    def in_turn(self, runs: Iterable[Planned]) -> Iterator[tuple[Planned, Missing | None]]:
        """Do runs, and yield each when it is done, or when it is seen that it cannot be.

        Raises
        ------
        Interrupted
            It was asked to stop, and every process has saved its state.
        StateError
            A process ended by itself.
        """
        waiting, self.workers = iter(runs), [self._begun() for _ in range(self.doing.jobs)]
        try:
            with Catching(self._ask_to_stop):
                for worker in self.workers:
                    self._next(worker, waiting)
                while busy := {worker.line: worker for worker in self.workers if worker.run is not None}:
                    for line in wait(list(busy)):
                        yield from self._heard(busy[line], waiting)  # ty: ignore[invalid-argument-type]
            if self.asked:
                raise self.stopped or Interrupted("stopped between two runs")
        finally:
            self._end()

    def _begun(self) -> _Worker:
        ours, theirs = get_context("spawn").Pipe()
        quiet = replace(self.doing, listen=_nothing)  # the listener stays here: it need not be one that can be sent
        process = get_context("spawn").Process(target=_work, args=(theirs, quiet), daemon=True)
        process.start()
        theirs.close()
        return _Worker(process, ours)

    def _next(self, worker: _Worker, waiting: Iterator[Planned]) -> None:
        worker.give(None if self.asked else next(waiting, None))

    def _heard(self, worker: _Worker, waiting: Iterator[Planned]) -> Iterator[tuple[Planned, Missing | None]]:
        """Take up what a process said: an event, a run that is done, or why it cannot go on."""
        run = worker.run
        assert run is not None
        try:
            kind, said = worker.line.recv()
        except (EOFError, ConnectionResetError):
            worker.process.join()
            if self.asked:  # before there was a state to save
                worker.run = None
                return
            raise StateError(
                f"the process that did {run.place} ended with exit code {worker.process.exitcode}; what it had saved "
                "is kept, and the same command goes on from there"
            ) from None
        if kind == "event":
            self.doing.listen(said)
        elif kind == "done":
            yield run, said  # it is written before the next begins, as with one process
            self._next(worker, waiting)
        elif kind == "stopped":
            self.asked, self.stopped, worker.run = True, Interrupted(said), None
        else:
            raise said

    def _ask_to_stop(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        for worker in self.workers:
            if worker.run is not None and worker.process.pid is not None:
                os.kill(worker.process.pid, signal.SIGINT)

    def _end(self) -> None:
        for worker in self.workers:
            if worker.run is not None:
                worker.process.terminate()  # a run that is under way saves its state
            worker.line.close()  # one that waits for a run ends by that
            worker.process.join()


def _nothing(event: object) -> None:
    """Hear nothing."""


def _work(line: Connection, doing: Doing) -> None:
    """Do the runs that come down a line, until there are no more or nobody listens."""
    if hasattr(os, "setpgrp"):
        os.setpgrp()  # Ctrl-C reaches all processes of a terminal's group: here it comes once, from the first one
    doing = replace(doing, listen=lambda event: line.send(("event", event)))
    with suppress(EOFError, BrokenPipeError, KeyboardInterrupt):
        while (run := line.recv()) is not None:
            line.send(_done(doing, run))


def _done(doing: Doing, run: Planned) -> tuple[str, Any]:
    """Do a run, and return how it ended and what is to be said of it."""
    try:
        return "done", doing.do(run)
    except Interrupted as error:
        return "stopped", str(error)
    except (BrokenPipeError, KeyboardInterrupt):
        raise
    except PolymniaError as error:
        return "failed", PolymniaError(str(error))
    except Exception:
        return "failed", RuntimeError(traceback.format_exc())
