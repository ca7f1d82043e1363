"""A probe: figures of a learned model that are no scores."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from polymnia.config import Named, part, whole
from polymnia.data.batch import Batch
from polymnia.data.stage import Stage, Stream
from polymnia.methods.base import Method
from polymnia.registry import NoSettings, Registry
from polymnia.state import Tree

Figures = dict[str, Any]
"""Figure → a number, or lists or mappings of numbers."""


class Probe(ABC):
    """Base of all probes; each run has its own.

    A probe measures after the last stage, or after `each`. What it names in `state` goes with the run's state, so that
    a resumed run goes on. One that can be set has a frozen dataclass `Settings`, and is made with it.
    """

    name: ClassVar[str]
    each: ClassVar[bool] = False
    """Whether it measures after every stage, and not after the last alone."""
    watches: ClassVar[bool] = False
    """Whether it is told of every step of training; what it does then must not change the run, nor its randomness."""
    state: ClassVar[tuple[str, ...]] = ()
    """Attributes (tensors, numbers, lists, dicts) that it remembers from stage to stage."""
    held: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """Figures that no stage should lower → the figure, or "", that says what they were before the first: a gate holds
    a stage to them."""
    promised: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """Figures that stay 1 over models that promise something → what these promise (see `Model.promises`)."""

    Settings: type[Any] = NoSettings
    """What a user may set, beside the probe's name."""

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


def settled(given: Named) -> Named:
    """Return a probe's name, or its name and all its settings where it has any, those left at their defaults too.

    Raises
    ------
    SettingsError
        There is no such probe, or no such setting of it.

    Examples
    --------
    >>> settled("skill"), settled({"name": "skill"})
    ('skill', 'skill')
    """
    if isinstance(given, str):
        PROBES.get(given)
    found = whole(PROBES, given, f"evaluation.probes.{given if isinstance(given, str) else given.get('name')}")
    assert found is not None
    return found["name"] if len(found) == 1 else found


def made(given: Named) -> Probe:
    """Return a new probe."""
    kind, settings = part(PROBES, given, "evaluation.probes")
    probe: Probe = kind() if kind.Settings is NoSettings else kind(settings)
    return probe


def name_of(given: Named) -> str:
    """Return what a probe is called."""
    return given if isinstance(given, str) else str(given["name"])
