"""A Ray cluster to hand work to: the one that `RAY_ADDRESS` names, or one of this machine's own processes."""

import os
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

from polymnia.errors import MissingExtra, SettingsError, StateError, unknown

T = TypeVar("T")
Engine = Literal["local", "ray"]
ENGINES = ("local", "ray")
RETRIES = 3
"""How often a task is begun again elsewhere when the worker that did it is lost."""


def engine_asked_for(name: str) -> str:
    """Return the name of an engine, or say which there are.

    Examples
    --------
    >>> engine_asked_for("local")
    'local'
    """
    if name not in ENGINES:
        raise SettingsError(f"--engine: {unknown('engine', name, ENGINES)}")
    return name


def ray() -> Any:
    """Return the module.

    Raises
    ------
    MissingExtra
        Ray is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would tell its makers of every cluster
    try:
        import ray as module
    except ImportError:
        raise MissingExtra("ray", "ray") from None
    return module


@contextmanager
def cluster(workers: int | None = None) -> Generator[int, None, None]:
    """Hold a cluster, and yield how many tasks are to run at once.

    A cluster that this process is part of already is used and left as it is. Else `RAY_ADDRESS` says which one to
    join; without it, one of this machine's own processes is made, and ended with the block.

    Parameters
    ----------
    workers : int, optional
        As many tasks at once; the cluster's number of cores by default.

    Raises
    ------
    SettingsError
        `workers` is less than 1.
    MissingExtra
        Ray is not installed.
    StateError
        No cluster answers at `RAY_ADDRESS`.
    """
    if workers is not None and workers < 1:
        raise SettingsError(f"workers: {workers} is given, and at least 1 is needed")
    engine, made = ray(), False
    if not engine.is_initialized():
        _join(engine, workers)
        made = True
    try:
        cores = int(engine.cluster_resources().get("CPU", 1))
        yield workers or max(cores, 1)
    finally:
        if made:
            engine.shutdown()


def _join(engine: Any, workers: int | None) -> None:
    address = os.environ.get("RAY_ADDRESS")
    own = {"include_dashboard": False, "num_cpus": workers} if address in (None, "", "local") else {}
    try:
        engine.init(log_to_driver=False, configure_logging=False, **own)
    except (ConnectionError, RuntimeError, TimeoutError) as error:
        said = str(error).splitlines()[0]
        raise StateError(f"no Ray cluster can be had at RAY_ADDRESS={address or '(not set)'}: {said}") from None


def lost(error: BaseException) -> bool:
    """Return whether a task failed for its worker or its machine was lost, and not by an error of its own."""
    exceptions = ray().exceptions
    kinds = (exceptions.WorkerCrashedError, exceptions.NodeDiedError, exceptions.OutOfMemoryError)
    return isinstance(error, (*kinds, exceptions.ObjectLostError))


def in_order(begin: Callable[[T], Any], given: Iterable[T], *, at_once: int) -> Iterator[tuple[T, Any]]:
    """Yield what was given with the result of its task, in that order; few more tasks are under way than run at once.

    Parameters
    ----------
    begin : callable
        Hands one over and returns the reference to its result.
    given : iterable
        What is to be done; it is read as fast as tasks end.
    at_once : int
        How many tasks run at once.
    """
    engine, waiting = ray(), iter(given)
    under_way: list[tuple[T, Any]] = []
    try:
        while True:
            while len(under_way) < 2 * at_once and (found := next(waiting, None)) is not None:
                under_way.append((found, begin(found)))
            if not under_way:
                return
            first, reference = under_way.pop(0)
            yield first, engine.get(reference)
    finally:
        for _, reference in under_way:
            engine.cancel(reference)
