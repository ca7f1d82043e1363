"""The plan of an experiment: every run it consists of, checked before the first one starts."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from polymnia.config import read
from polymnia.data.scenario import SCENARIOS
from polymnia.data.source import SOURCES
from polymnia.errors import SettingsError, unknown
from polymnia.experiments.settings import Claim, ExperimentSettings, experiment_settings
from polymnia.methods.base import METHODS
from polymnia.models.base import MODELS
from polymnia.training.build import part
from polymnia.training.settings import RunSettings, run_settings

FIGURES = (
    "final_average", "average_incremental", "forgetting", "backward_transfer", "learning_accuracy", "intransigence",
    "seconds", "evaluate_seconds", "trainable_parameters", "memory_bytes", "steps", "samples",
)  # fmt: skip
"""The figures of a run, in the order in which results hold them; claims may name them."""

SUBSET = "per_subset."
SELECTIONS = ("seeds", "streams", "methods")
_LABEL = re.compile(r"[a-z0-9][a-z0-9.+_-]*")


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
        kind, settings = part(METHODS, run.settings.method, f"methods.{run.method}")
        entry = self.settings.methods[run.method]
        beside = {key: value for key, value in entry.items() if key != "method"} if "method" in entry else {}
        return {"name": kind.name, **asdict(settings)} | ({"with": beside} if beside else {})

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


def load_plan(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Plan:
    """Return the plan of `experiments/NAME.yaml`, or of a file by path, checked.

    Parameters
    ----------
    name_or_path : str or Path
        A bare name, or the path of a YAML file.
    overrides : sequence of str
        ``seeds=2`` (the first two) or ``seeds=[0,3]``, ``streams=[…]`` and ``methods=[…]`` select; any other
        ``key=value`` changes a setting.

    Raises
    ------
    SettingsError
        No such experiment, or something in it is not accepted: nothing has run then.
    """
    path = find(name_or_path)
    given = read(None, overrides)
    selection = {key: given.pop(key) for key in SELECTIONS if key in given}
    others = [item for item in overrides if item.split("=")[0] not in SELECTIONS]
    settings = experiment_settings(read(path, others))
    plan = Plan(
        path.stem,
        settings,
        _seeds(selection.get("seeds"), settings.seeds),
        _labels("stream", selection.get("streams"), settings.streams),
        _labels("method", selection.get("methods"), settings.methods),
        changed=bool(others),
    )
    check(plan)
    return plan


def find(name_or_path: str | Path) -> Path:
    """Return the file of an experiment by its name or path."""
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml"):
        return path
    folder = Path("experiments")
    names = sorted(file.stem for file in folder.glob("*.yaml"))
    if str(name_or_path) not in names:
        where = (
            "" if names else f"\n{folder}/ has none here: run this in the repository's folder, or give a file's path."
        )
        raise SettingsError(unknown("experiment", str(name_or_path), names) + where)
    return folder / f"{name_or_path}.yaml"


def check(plan: Plan) -> None:
    """Raise SettingsError when a label, a claim or a run's settings cannot be used."""
    settings = plan.settings
    for kind, labels in (("streams", settings.streams), ("methods", settings.methods)):
        strange = [label for label in labels if not _LABEL.fullmatch(label)]
        if strange or not labels:
            raise SettingsError(f"{kind}: {strange[0]!r} is no label; use a-z 0-9 . + _ -" if strange else
                                f"{kind}: none is given, and at least one is needed")  # fmt: skip
    if not settings.seeds or len(set(settings.seeds)) != len(settings.seeds):
        raise SettingsError(f"seeds: {list(settings.seeds)} is given, and different whole numbers are needed")
    named = [claim.id for claim in settings.claims]
    twice = sorted({name for name in named if named.count(name) > 1})
    if twice:
        raise SettingsError(f"claims: two are called {twice[0]!r}")
    for claim in settings.claims:
        check_claim(claim, settings)
    for run in plan.runs:
        check_run(run)


def check_claim(claim: Claim, settings: ExperimentSettings) -> None:
    """Raise SettingsError when a claim names what the experiment does not have."""
    where = f"claims.{claim.id}"
    if claim.metric not in FIGURES and not claim.metric.startswith(SUBSET):
        raise SettingsError(f"{where}.metric: {unknown('metric', claim.metric, (*FIGURES, SUBSET + '…'))}")
    for side, names in (("left", claim.lefts), ("right", claim.rights)):
        for name in names:
            if isinstance(name, str) and name not in settings.methods:
                raise SettingsError(f"{where}.{side}: {unknown('method in this experiment', name, settings.methods)}")
        if not names:
            raise SettingsError(f"{where}.{side}: none is given, and at least one is needed")
    for name in claim.streams:
        if name not in settings.streams:
            raise SettingsError(f"{where}.streams: {unknown('stream in this experiment', name, settings.streams)}")
    if claim.margin < 0 or (claim.relation == "within" and claim.margin == 0):
        raise SettingsError(f"{where}.margin: {claim.margin} is given; {claim.relation!r} takes "
                            f"{'more than 0' if claim.relation == 'within' else '0 or more'}")  # fmt: skip
    if not claim.says.strip() or not claim.source.strip():
        raise SettingsError(f"{where}: a claim is a sentence (`says`) and has a `source`; neither may be empty")


def check_run(run: Planned) -> None:
    """Raise SettingsError when a run names a part, or a setting of one, that there is not."""
    settings = run.settings
    part(METHODS, settings.method, f"methods.{run.method}")
    part(MODELS, settings.model, "model")
    for registry, key, default in ((SOURCES, "name", None), (SCENARIOS, "scenario", "class-incremental")):
        name = settings.stream.get(key, default)
        if name not in registry:
            raise SettingsError(f"streams.{run.stream}.stream.{key}: {unknown(registry.kind, str(name), registry)}")


def selected(plan: Plan) -> dict[str, Any]:
    """Return what of the experiment is to be done, as JSON."""
    return {name: list(getattr(plan, name)) for name in SELECTIONS}


def _over(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with a change: a section that names another part is replaced, else its keys are."""
    merged = dict(base)
    for key, value in change.items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping) and "name" not in value
        merged[key] = {**old, **value} if both else value
    return merged


def _seeds(chosen: Any, every: tuple[int, ...]) -> tuple[int, ...]:
    if chosen is None:
        return every
    if isinstance(chosen, int) and not isinstance(chosen, bool):
        if not 1 <= chosen <= len(every):
            raise SettingsError(f"seeds: {chosen} is given, and the experiment has {len(every)}")
        return every[:chosen]
    if isinstance(chosen, list) and chosen and all(isinstance(seed, int) for seed in chosen):
        return tuple(chosen)
    raise SettingsError(f"seeds: {chosen!r} is given; write seeds=2 (the first two) or seeds=[0,3]")


def _labels(kind: str, chosen: Any, every: Mapping[str, Any]) -> tuple[str, ...]:
    if chosen is None:
        return tuple(every)
    names = [chosen] if isinstance(chosen, str) else chosen
    if not isinstance(names, list) or not names:
        raise SettingsError(f"{kind}s: {chosen!r} is given; write {kind}s=[{','.join(list(every)[:2])}]")
    for name in names:
        if name not in every:
            raise SettingsError(f"{kind}s: {unknown(f'{kind} in this experiment', str(name), every)}")
    return tuple(label for label in every if label in names)
