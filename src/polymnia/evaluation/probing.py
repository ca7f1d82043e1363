"""The probes of a run: when each measures, and what of it is kept."""

from collections.abc import Sequence
from math import isnan
from typing import Any

from polymnia.config import Named
from polymnia.data.batch import Batch
from polymnia.data.stage import Stage, Stream
from polymnia.evaluation.probes.base import Figures, made, name_of
from polymnia.methods.base import Method
from polymnia.state import Tree

BY_STAGE = " by stage"
"""After a figure's name: its list of values, one a stage."""


class Probing:
    """Measures after each stage, and keeps what was found.

    A figure `x` of a probe that measures after each stage is its value after the last stage scored; where it is a
    number, `x by stage` is the list of its values, None where a stage had none.

    Parameters
    ----------
    given : sequence of Named
        The probes: names, or mappings with a name and settings.
    """

    def __init__(self, given: Sequence[Named]) -> None:
        self.probes = {name_of(each): made(each) for each in given}
        self.found: dict[str, list[Figures]] = {name: [] for name in self.probes}

    def after(self, method: Method, stream: Stream, stage: Stage) -> None:
        """Measure after a stage."""
        last = stage.index == len(stream) - 1
        for name, probe in self.probes.items():
            if probe.each or last:
                self.found[name].append({k: _plain(v) for k, v in probe.measure(method, stream, stage).items()})

    @property
    def watches(self) -> bool:
        """Whether any probe is to be told of the steps of training."""
        return any(probe.watches for probe in self.probes.values())

    def before_step(self, method: Method, batch: Batch) -> None:
        """Tell those that watch that a step comes."""
        for probe in self.probes.values():
            if probe.watches:
                probe.before_step(method, batch)

    def after_step(self, method: Method) -> None:
        """Tell those that watch that a step is done."""
        for probe in self.probes.values():
            if probe.watches:
                probe.after_step(method)

    def figures(self) -> dict[str, Figures]:
        """Return probe → figure → value; a probe that has not measured yet is not there."""
        return {
            name: by_stage(found) if self.probes[name].each else dict(found[-1])
            for name, found in self.found.items()
            if found
        }

    def records(self) -> dict[str, Any]:
        """Return probe → what belongs into the folder of the stage that was measured last."""
        made = {name: probe.record() for name, probe in self.probes.items()}
        return {name: record for name, record in made.items() if record is not None}

    def state_dict(self) -> dict[str, Tree]:
        """Return what was found so far, and what the probes remember."""
        return {"found": self.found, "probes": {name: probe.state_dict() for name, probe in self.probes.items()}}

    def load_state_dict(self, state: dict[str, Tree]) -> None:
        """Put back what `state_dict` returned."""
        for name, probe in self.probes.items():
            self.found[name] = state["found"].get(name, [])
            if name in state["probes"]:
                probe.load_state_dict(state["probes"][name])


def by_stage(found: Sequence[Figures]) -> Figures:
    """Return the figures of the last stage, and beside each number its list over the stages.

    Examples
    --------
    >>> by_stage([{"a": 1.0}, {"a": 0.5, "table": [1, 2]}])
    {'a': 0.5, 'a by stage': [1.0, 0.5], 'table': [1, 2]}
    """
    figures: Figures = {}
    for name in dict.fromkeys(name for stage in found for name in stage):
        values = [stage.get(name) for stage in found]
        numbers = [isinstance(value, int | float) for value in values if value is not None]
        if name in found[-1]:
            figures[name] = values[-1]
        if numbers and all(numbers):
            figures[f"{name}{BY_STAGE}"] = values
    return figures


def _plain(value: Any) -> Any:
    """Return a value with None for NaN, which JSON has not."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and isnan(value) else value
