"""A probe: figures of a learned model that are no scores."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from polymnia.data.batch import Batch
from polymnia.data.stage import Stage, Stream
from polymnia.methods.base import Method
from polymnia.registry import Registry
from polymnia.state import Tree

Figures = dict[str, Any]
"""Figure → a number, or lists or mappings of numbers."""


class Probe(ABC):
    """Base of all probes; each run has its own.

    A probe measures after the last stage, or after `each`. What it names in `state` goes with the run's state, so that
    a resumed run goes on.
    """

    name: ClassVar[str]
    each: ClassVar[bool] = False
    """Whether it measures after every stage, and not after the last alone."""
    watches: ClassVar[bool] = False
    """Whether it is told of every step of training; what it does then must not change the run, nor its randomness."""
    state: ClassVar[tuple[str, ...]] = ()
    """Attributes (tensors, numbers, lists, dicts) that it remembers from stage to stage."""

    @abstractmethod
    def measure(self, method: Method, stream: Stream, stage: Stage) -> Figures:
        """Return figures after a stage has been learned; empty where there is nothing to measure.

        Parameters
        ----------
        method : Method
            It must not be changed.
        stream : Stream
            Encoded, all of it; what comes after `stage` is not to be looked at.
        stage : Stage
            The last that was learned.
        """

    def before_step(self, method: Method, batch: Batch) -> None:  # noqa: B027  # few watch
        """Look at the weights that a step is going to change, and at its batch; only if it `watches`."""

    def after_step(self, method: Method) -> None:  # noqa: B027
        """Look at the weights that the step has changed; not called where nothing was stepped."""

    def record(self) -> Any:
        """Return what is to be kept, as JSON, in the folder of the stage measured last; None: nothing."""
        return None

    def state_dict(self) -> dict[str, Tree]:
        """Return the attributes named in `state`."""
        return {name: getattr(self, name) for name in self.state}

    def load_state_dict(self, state: dict[str, Tree]) -> None:
        """Put back what `state_dict` returned."""
        for name in self.state:
            setattr(self, name, state[name])


PROBES: Registry[type[Probe]] = Registry("probe", "polymnia.evaluation.probes")
register = PROBES.register
