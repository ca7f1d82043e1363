"""The settings of an experiment, as typed dataclasses."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from polymnia.config import typed

Relation = Literal["greater", "less", "at least", "at most", "within"]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What is expected, in words and as a comparison that a machine can decide.

    With D the mean over seeds of left − right and [lo, hi] its 95 % interval, a relation is shown when

    - ``greater``: lo > margin; ``less``: hi < −margin;
    - ``at least``: lo ≥ −margin; ``at most``: hi ≤ margin;
    - ``within``: −margin ≤ lo and hi ≤ margin (equivalence).

    A claim holds when every left is so related to every right on every one of its streams.
    """

    id: str
    says: str
    """One sentence."""
    source: str
    """Who claims it: a paper, or "ours"."""
    metric: str
    """A figure of a run, or "per_subset." and modalities joined by "+"."""
    left: str | tuple[str, ...]
    relation: Relation
    right: float | str | tuple[str, ...]
    """Methods, or a number."""
    margin: float = 0.0
    streams: tuple[str, ...] = ()
    """None named: all of the experiment."""

    @property
    def lefts(self) -> tuple[str, ...]:
        """The methods on the left."""
        return (self.left,) if isinstance(self.left, str) else self.left

    @property
    def rights(self) -> tuple[str | float, ...]:
        """The methods, or the number, on the right."""
        return self.right if isinstance(self.right, tuple) else (self.right,)


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What every method may use alike."""

    memory: int | None = None
    """Samples; given to every method that has a setting `memory` and does not set it."""


@dataclass(frozen=True, kw_only=True)
class ExperimentSettings:
    """Everything that makes an experiment: `base` is every run's settings, changed by its stream and its method.

    An entry of `methods` is a method's settings (it has a `name`), or a mapping of run settings that holds `method`.
    """

    title: str
    question: str = ""
    seeds: tuple[int, ...]
    budget: Budget = field(default_factory=Budget)
    base: dict[str, Any] = field(default_factory=dict)
    streams: dict[str, dict[str, Any]]
    methods: dict[str, dict[str, Any]]
    claims: tuple[Claim, ...] = ()


def experiment_settings(given: Mapping[str, Any]) -> ExperimentSettings:
    """Return checked settings of an experiment from plain ones.

    Raises
    ------
    SettingsError
        A key or a value is not accepted; the message names it.
    """
    values = dict(given)
    if isinstance(values.get("budget"), Mapping):
        values["budget"] = typed(Budget, values["budget"], where="budget", owner="budget")
    claims = values.get("claims") or []
    if isinstance(claims, list):
        values["claims"] = tuple(typed(Claim, claim, where=_place(i, claim)) for i, claim in enumerate(claims))
    return typed(ExperimentSettings, values, owner="experiment")


def _place(index: int, claim: Any) -> str:
    named = claim.get("id") if isinstance(claim, Mapping) else None
    return f"claims.{named if isinstance(named, str) else index}"
