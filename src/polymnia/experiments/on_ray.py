"""Do runs on a Ray cluster, one task a run; a run whose worker is lost goes on elsewhere from its newest state.

Run folders must be seen by every machine of the cluster under the same path. Scores do not depend on the cluster.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from types import FrameType
from typing import Any

from polymnia.cluster import RETRIES, lost, ray
from polymnia.errors import Interrupted, PolymniaError, StateError
from polymnia.experiments.doing import Doing, Missing
from polymnia.experiments.plan import Planned
from polymnia.training.signals import Catching

LISTEN_SECONDS = 0.5
"""How often it is looked whether somebody asked to stop."""


class OnRay:
    """Does runs on the cluster that this process is part of.

    Parameters
    ----------
    doing : Doing
        How a run is done, and who hears of its begin; `doing.jobs` is how many are done at once.
    """

    def __init__(self, doing: Doing) -> None:
        self.doing = replace(doing, folder=doing.folder.absolute())
        self.asked = False
        self.under_way: dict[Any, Planned] = {}

    def in_turn(self, runs: Iterable[Planned]) -> Iterator[tuple[Planned, Missing | None]]:
        """Do runs, and yield each when it is done, or when it is seen that it cannot be.

        Raises
        ------
        Interrupted
            It was asked to stop, and every run has saved its state.
        StateError
            A run's worker was lost again and again.
        """
        waiting, engine = iter(runs), ray()
        try:
            with Catching(self._ask_to_stop):
                while self._filled(waiting):
                    done, _ = engine.wait(list(self.under_way), num_returns=1, timeout=LISTEN_SECONDS)
                    for reference in done:
                        run = self.under_way.pop(reference)
                        yield run, self._result(run, reference)
                    if self.asked:
                        self._stop()
        finally:
            for reference in self.under_way:
                engine.cancel(reference)  # a run that is under way saves its state

    def _filled(self, waiting: Iterator[Planned]) -> bool:
        """Hand over runs until as many as are wanted are under way; return whether there are any."""
        quiet = replace(self.doing, listen=_nothing)  # the listener stays here: it need not be one that can be sent
        while len(self.under_way) < self.doing.jobs and (run := next(waiting, None)) is not None:
            self.under_way[_task().options(num_gpus=_gpus(run)).remote(quiet, run)] = run
        return bool(self.under_way)

    def _result(self, run: Planned, reference: Any) -> Missing | None:
        try:
            said, how = ray().get(reference)
        except ray().exceptions.RayError as error:
            raise _told(error, run) from None
        at = {"stream": run.stream, "method": run.method, "seed": run.seed}
        self.doing.listen({"kind": "begin", "how": how, **at})
        return said

    def _stop(self) -> None:
        """Ask every run to save its state and stop, and wait until it has."""
        for reference in self.under_way:
            ray().cancel(reference)
        while self.under_way:
            reference, _ = self.under_way.popitem()
            try:
                ray().get(reference)
            except ray().exceptions.RayError as error:
                if not isinstance(_cause(error), Interrupted | KeyboardInterrupt) and not _cancelled(error):
                    raise
        raise Interrupted("stopped; what was done is kept. ")

    def _ask_to_stop(self, number: int, frame: FrameType | None) -> None:
        self.asked = True


def _cause(error: Any) -> BaseException:
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, BaseException) else error


def _cancelled(error: BaseException) -> bool:
    return isinstance(error, ray().exceptions.TaskCancelledError)


def _told(error: BaseException, run: Planned) -> BaseException:
    cause = _cause(error)
    if isinstance(cause, PolymniaError) or not lost(error):
        return cause
    return StateError(
        f"the worker that did {run.place} was lost {RETRIES + 1} times ({type(error).__name__}), for lack of memory as "
        "a rule; fewer --jobs need less. What it had saved is kept, and the same command goes on from there"
    )


@lru_cache(maxsize=1)
def _task() -> Any:
    return ray().remote(num_cpus=1, max_retries=RETRIES)(_do)


def _gpus(run: Planned) -> int:
    """Return how many accelerators a run is to get: one where the cluster has any and the run does not refuse it."""
    there = ray().cluster_resources().get("GPU", 0) >= 1
    return int(there and run.settings.trainer.accelerator not in ("cpu",))


def _do(doing: Doing, run: Planned) -> tuple[Missing | None, str]:
    """Do a run, or what another worker has left of it; return what `Doing.do` does, and how it began."""
    begun: list[str] = []

    def listen(event: dict[str, Any]) -> None:
        if event["kind"] == "begin":
            begun.append(event["how"])

    missing = replace(doing, listen=listen).do(run)
    return missing, begun[0] if begun else "new"


def _nothing(event: object) -> None:
    """Hear nothing."""
