"""The plan of an experiment: every run it consists of."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from polymnia.config import part
from polymnia.errors import SettingsError
from polymnia.experiments.defaults import in_full
from polymnia.experiments.settings import ExperimentSettings
from polymnia.methods.base import METHODS
from polymnia.training.settings import RunSettings, run_settings


@dataclass(frozen=True)
class Planned:
    """One run of an experiment: its place in it, and its settings."""

    stream: str
    method: str
    seed: int
    settings: RunSettings

    @property
    def place(self) -> Path:
        """The run's folder, below the experiment's."""
        return Path(self.stream) / self.method / f"seed-{self.seed}"


@dataclass(frozen=True)
class Plan:
    """An experiment by name: its settings, and what of it is to be done.

    Parameters
    ----------
    name : str
        The name of its file.
    settings : ExperimentSettings
        As the file has them, with any changes.
    seeds, streams, methods
        What is to be done; all of the settings' own unless a selection was given.
    changed : bool
        A setting beside these three differs from the file, so its runs are not the experiment's runs.
    """

    name: str
    settings: ExperimentSettings
    seeds: tuple[int, ...]
    streams: tuple[str, ...]
    methods: tuple[str, ...]
    changed: bool = False

    @property
    def partial(self) -> bool:
        """Whether this is less than, or other than, what the file says."""
        s = self.settings
        chosen, whole = (self.seeds, self.streams, self.methods), (s.seeds, tuple(s.streams), tuple(s.methods))
        return self.changed or chosen != whole

    @cached_property
    def runs(self) -> tuple[Planned, ...]:
        """Every run; those that share an encoded stream come one after the other."""
        return tuple(
            Planned(stream, method, seed, self.run(stream, method, seed))
            for stream in self.streams
            for seed in self.seeds
            for method in self.methods
        )

    @cached_property
    def method_settings(self) -> dict[str, dict[str, Any]]:
        """Label → the method's name and settings, with the defaults it runs with, and what else its runs change."""
        return {run.method: self._in_full(run) for run in self.runs}

    def _in_full(self, run: Planned) -> dict[str, Any]:
        entry = self.settings.methods[run.method]
        beside = {key: value for key, value in entry.items() if key != "method"} if "method" in entry else {}
        return in_full(run.settings)["method"] | ({"with": beside} if beside else {})

    def run(self, stream: str, method: str, seed: int) -> RunSettings:
        """Return the settings of one run."""
        entry = self.settings.methods[method]
        entry = entry if "method" in entry else {"method": entry}
        entry = {**entry, "method": self._within_budget(entry["method"], method)}
        merged = {"model": RunSettings().model}
        for change in (self.settings.base, self.settings.streams[stream], entry):
            merged = _over(merged, change)
        try:
            return run_settings({**merged, "seed": seed})
        except SettingsError as error:
            raise SettingsError(f"the run of {method!r} on {stream!r}: {error}") from None

    def _within_budget(self, given: Any, label: str) -> dict[str, Any]:
        named = {"name": given} if isinstance(given, str) else dict(given)
        kind, _ = part(METHODS, named, f"methods.{label}")
        memory = self.settings.budget.memory
        takes = memory is not None and "memory" in kind.Settings.__dataclass_fields__
        return {**named, "memory": named.get("memory", memory)} if takes else named


def _over(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with a change: a section that names another part is replaced, else its keys are."""
    merged = dict(base)
    for key, value in change.items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping) and "name" not in value
        merged[key] = {**old, **value} if both else value
    return merged
