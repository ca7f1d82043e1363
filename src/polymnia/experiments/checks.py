"""Checks of a plan before its first run: labels, claims, and the parts that runs name."""

import re

from polymnia.config import part
from polymnia.data.scenario import SCENARIOS
from polymnia.data.source import SOURCES
from polymnia.errors import SettingsError, unknown
from polymnia.experiments.plan import Plan, Planned
from polymnia.experiments.settings import Claim, ExperimentSettings
from polymnia.methods.base import METHODS
from polymnia.models.base import MODELS

FIGURES = (
    "final_average", "average_incremental", "forgetting", "backward_transfer", "learning_accuracy", "intransigence",
    "seconds", "evaluate_seconds", "trainable_parameters", "memory_bytes", "steps", "samples",
)  # fmt: skip
"""The figures of a run, in the order in which results hold them; claims may name them."""

SUBSET = "per_subset."
"""Before the modalities that a run was scored with, joined by "+"."""

PROBE = "probes."
"""Before a probe's name, a dot and one of its figures."""

_LABEL = re.compile(r"[a-z0-9][a-z0-9.+_-]*")


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
    if claim.metric not in FIGURES and not claim.metric.startswith((SUBSET, PROBE)):
        raise SettingsError(f"{where}.metric: {unknown('metric', claim.metric, (*FIGURES, SUBSET + '…', PROBE + '…'))}")
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
