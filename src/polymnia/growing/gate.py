"""The gate: a proposed stage is held against every kept test set, and accepted only within limits."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch

from polymnia.data.samples import Samples
from polymnia.data.stage import Stage, Stream
from polymnia.data.wording import ANSWERING
from polymnia.errors import SettingsError
from polymnia.evaluation.answers import matches
from polymnia.evaluation.scorers.base import scorer
from polymnia.evaluation.written import one_round, references, written
from polymnia.methods.base import Method


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a stage may cost, and what it must bring."""

    drop: float = 0.02
    """Largest drop of any earlier stage's score, 0.02 being two points of accuracy."""
    gain: float = 0.0
    """Least gain on the new stage's own test set, against the model before it."""
    score: float = 0.0
    """Least score on the new stage's own test set."""
    unchanged: bool = False
    """Whether outputs on earlier test sets must be the same to the last bit: for methods that promise it."""

    def __post_init__(self) -> None:
        if self.drop < 0:
            raise SettingsError(f"limits.drop: {self.drop} is given; at least 0 is needed")


@dataclass(frozen=True, kw_only=True)
class Flip:
    """A kept sample that was right and is now wrong, or the other way round: by class names."""

    id: str
    wanted: str
    before: str
    after: str


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One test set before and after a stage.

    Parameters
    ----------
    stage, task, metric : str
        Whose test set, and what the scores are.
    samples : int
        In it.
    before, after : float or None
        Scores; None where the model could look at nothing.
    new : bool
        Whether it is the proposed stage's own.
    broke, mended : tuple of Flip
        Samples that were right and are wrong, and the other way round, where classes are told.
    same : bool
        Whether the model's outputs are the same to the last bit.
    """

    stage: str
    task: str
    metric: str
    samples: int
    before: float | None
    after: float | None
    new: bool = False
    broke: tuple[Flip, ...] = ()
    mended: tuple[Flip, ...] = ()
    same: bool = False

    @property
    def change(self) -> float:
        """After less before; what could not be scored counts as 0."""
        return (self.after or 0.0) - (self.before or 0.0)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether a proposed stage may be accepted, and why not."""

    accepted: bool
    why: tuple[str, ...]
    compared: tuple[Compared, ...]
    limits: Limits = field(default_factory=Limits)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self)


def judged(stream: Stream, before: Method | None, after: Method, limits: Limits, *, batch_size: int = 512) -> Verdict:
    """Return the verdict over a stream's newest stage.

    Parameters
    ----------
    stream : Stream
        Encoded; the newest stage is the proposed one, the earlier ones have their kept test sets.
    before, after : Method
        The model without and with it; None before the first stage.
    limits : Limits
        What it may cost and must bring.
    batch_size : int
        Rows at once.
    """
    every = tuple(_compared(stage, stream, before, after, batch_size) for stage in stream)
    why = [reason for each in every for reason in _against(each, limits)]
    return Verdict(accepted=not why, why=tuple(why), compared=every, limits=limits)


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
    return held


def _compared(stage: Stage, stream: Stream, before: Method | None, after: Method, batch_size: int) -> Compared:
    with one_round():  # texts are written once, for the score and for what broke
        return _seen(stage, stream, before, after, batch_size)


def _seen(stage: Stage, stream: Stream, before: Method | None, after: Method, batch_size: int) -> Compared:
    judge = scorer(stage.task)
    scores = [_score(judge, method, stage.test, batch_size) for method in (before, after)]
    new = stage is stream.stages[-1]
    outputs = [_outputs(method, stage.test, batch_size) for method in (before, after)] if not new else [None, None]
    was, now = outputs
    same = (
        was is not None
        and now is not None
        and was.shape[1] <= now.shape[1]
        and torch.equal(was, now[:, : was.shape[1]])
    )
    if judge.by_class:
        flips = _flips(stage.test, stream.class_names, was, now)
    else:
        flips = _told(stage, before, after) if stage.task == ANSWERING and not new else ((), ())
    return Compared(
        stage=stage.name, task=stage.task, metric=judge.metric, samples=len(stage.test), before=scores[0],
        after=scores[1], new=new, broke=flips[0], mended=flips[1], same=same,
    )  # fmt: skip


def _score(judge: Any, method: Method | None, test: Samples, batch_size: int) -> float | None:
    if method is None or not _sees(method, test):
        return None
    found: float | None = judge.score(method, test, batch_size=batch_size)
    return found


def _sees(method: Method, test: Samples) -> bool:
    known = {m for outline in method.model.grown for m in outline.modalities}
    return bool(len(test)) and not known.isdisjoint(test.modalities)


def _outputs(method: Method | None, test: Samples, batch_size: int) -> torch.Tensor | None:
    """Return (N, K) what a model says of classes; None where it says nothing of the kind."""
    if method is None or not _sees(method, test):
        return None
    found = [method.predict(batch).logits for batch in method.batches(test, size=batch_size)]
    whole = sum(len(part) for part in found) == len(test) and len({part.shape[1] for part in found}) == 1
    return torch.cat(found).cpu() if whole else None


def _flips(
    test: Samples, names: Sequence[str], was: torch.Tensor | None, now: torch.Tensor | None
) -> tuple[tuple[Flip, ...], tuple[Flip, ...]]:
    """Return the samples that broke and those that were mended."""
    if was is None or now is None:
        return (), ()
    said = [part.argmax(1).numpy() for part in (was, now)]
    wanted = test.targets.numpy()
    right = [part == wanted for part in said]
    labelled = wanted >= 0

    def flips(rows: Any) -> tuple[Flip, ...]:
        return tuple(
            Flip(id=str(test.ids[r]), wanted=names[wanted[r]], before=names[said[0][r]], after=names[said[1][r]])
            for r in np.flatnonzero(rows & labelled).tolist()
        )

    return flips(right[0] & ~right[1]), flips(~right[0] & right[1])


def _told(stage: Stage, before: Method | None, after: Method) -> tuple[tuple[Flip, ...], tuple[Flip, ...]]:
    """Return the questions whose answer was right and is wrong, and the other way round."""
    if before is None or not _sees(before, stage.test):
        return (), ()
    was, now = (written(method, stage.test) for method in (before, after))
    rows = zip(stage.test.ids.tolist(), references(stage.test), was, now, strict=True)
    judged = [(Flip(id=name, wanted=right[0], before=old, after=new), matches(old, right), matches(new, right))
              for name, right, old, new in rows]  # fmt: skip
    broke = tuple(flip for flip, was_right, is_right in judged if was_right and not is_right)
    return broke, tuple(flip for flip, was_right, is_right in judged if is_right and not was_right)


def limits_of(given: Mapping[str, Any]) -> Limits:
    """Return limits from plain settings."""
    from polymnia.config import typed

    return typed(Limits, given, where="limits", owner="limits")
