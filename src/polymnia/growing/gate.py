"""The gate: a proposed stage is held against every kept test set and probe, and accepted only within limits."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from polymnia.config import typed
from polymnia.data.stage import Stream
from polymnia.errors import SettingsError
from polymnia.evaluation.probes.base import Figures
from polymnia.growing.compared import Compared, compared
from polymnia.growing.probed import Probed, probed
from polymnia.methods.base import Method


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a stage may cost, and what it must bring."""

    drop: float = 0.02
    """Largest drop of any earlier stage's score, 0.02 being two points of accuracy, and of what probes are held to."""
    gain: float = 0.0
    """Least gain on the new stage's own test set, against the model before it."""
    score: float = 0.0
    """Least score on the new stage's own test set."""
    unchanged: bool = False
    """Whether outputs on earlier test sets must be the same to the last bit."""
    promises: bool = True
    """Whether what the model promises not to change (vectors of a shared space, pictures) must be as it was."""

    def __post_init__(self) -> None:
        if self.drop < 0:
            raise SettingsError(f"limits.drop: {self.drop} is given; at least 0 is needed")


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether a proposed stage may be accepted, and why not."""

    accepted: bool
    why: tuple[str, ...]
    compared: tuple[Compared, ...]
    probed: tuple[Probed, ...] = ()
    limits: Limits = field(default_factory=Limits)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self)


def judged(
    stream: Stream,
    before: Method | None,
    after: Method,
    limits: Limits,
    *,
    probes: Mapping[str, Figures] | None = None,
    batch_size: int = 512,
) -> Verdict:
    """Return the verdict over a stream's newest stage.

    Parameters
    ----------
    stream : Stream
        Encoded; the newest stage is the proposed one, the earlier ones have their kept test sets.
    before, after : Method
        The model without and with it; None before the first stage.
    limits : Limits
        What it may cost and must bring.
    probes : Mapping, optional
        Probe → its figures after the newest stage, with their lists by stage.
    batch_size : int
        Rows at once.
    """
    every = tuple(compared(stage, stream, before, after, batch_size=batch_size) for stage in stream)
    figures = probed(probes or {}, after.model.promises)
    why = [reason for each in every for reason in _against(each, limits)]
    why += [reason for each in figures for reason in _held(each, limits)]
    return Verdict(accepted=not why, why=tuple(why), compared=every, probed=figures, limits=limits)


def _against(each: Compared, limits: Limits) -> list[str]:
    held: list[str] = []
    if each.new:
        if each.change < limits.gain:
            held.append(f"{each.stage}: {each.metric} gains {each.change:.3f}, and {limits.gain:.3f} is the least gain")
        if (each.after or 0.0) < limits.score:
            held.append(f"{each.stage}: {each.metric} is {each.after or 0.0:.3f}, and {limits.score:.3f} is the least")
        return held
    if -each.change > limits.drop + 1e-9:
        broke = f"; {len(each.broke)} of {each.samples} samples were right and are wrong" if each.broke else ""
        held.append(f"{each.stage}: {each.metric} drops by {-each.change:.3f}, and {limits.drop:.3f} is allowed{broke}")
    if limits.unchanged and not each.same:
        held.append(f"{each.stage}: outputs are not the same to the last bit, and they have to be")
    for modality, change in each.moved.items():
        if limits.promises and change != 0:
            held.append(f"{each.stage}: vectors of {modality} moved by up to {change:.3g}, and are promised to stay")
    return held


def _held(each: Probed, limits: Limits) -> list[str]:
    name = f"probe {each.probe}: {each.figure}"
    if each.promised:
        return [f"{name} is {each.after:.3f}, and 1 is promised"] if limits.promises and each.after != 1 else []
    if -each.change > limits.drop + 1e-9:
        return [f"{name} drops by {-each.change:.3f}, and {limits.drop:.3f} is allowed"]
    return []


def limits_of(given: Mapping[str, Any]) -> Limits:
    """Return limits from plain settings."""
    return typed(Limits, given, where="limits", owner="limits")
