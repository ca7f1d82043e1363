"""One kept test set before and after a stage: its score, what broke, and whether anything moved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from polymnia.data.samples import Samples
from polymnia.data.stage import Stage, Stream
from polymnia.data.wording import ANSWERING
from polymnia.evaluation.answers import matches
from polymnia.evaluation.scorers.base import scorer
from polymnia.evaluation.space import clips, has_space, mediator
from polymnia.evaluation.written import one_round, references, written
from polymnia.methods.base import Method

Outputs = torch.Tensor | list[str]


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
        Whether the model's outputs (logits, vectors of a space, texts) are the same to the last bit.
    moved : Mapping
        Modality → the largest change of a number of its vectors, of those that the model promises to leave in place.
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
    moved: Mapping[str, float] = field(default_factory=dict)

    @property
    def change(self) -> float:
        """After less before; what could not be scored counts as 0."""
        return (self.after or 0.0) - (self.before or 0.0)


def compared(stage: Stage, stream: Stream, before: Method | None, after: Method, *, batch_size: int) -> Compared:
    """Return what a stage's test set says of a model without and with the newest stage; see `gate.judged`."""
    with one_round():  # texts are written once, for the score and for what broke
        return _seen(stage, stream, before, after, batch_size)


def _seen(stage: Stage, stream: Stream, before: Method | None, after: Method, batch_size: int) -> Compared:
    judge, newest = scorer(stage.task), stream.stages[-1]
    scores = [_score(judge, method, stage.test, batch_size) for method in (before, after)]
    told = Compared(
        stage=stage.name, task=stage.task, metric=judge.metric, samples=len(stage.test), before=scores[0],
        after=scores[1], new=stage is newest,
    )  # fmt: skip
    if told.new or before is None or not _sees(before, stage.test):
        return told
    was, now = (_outputs(method, stage.test, batch_size) for method in (before, after))
    broke, mended = _flips(stage.test, stream.class_names, was, now) if judge.by_class else ((), ())
    if stage.task == ANSWERING:
        broke, mended = _told(stage, before, after)
    moved = {m: _change(before, after, stage.test, m) for m in _promised(after, stage, newest)}
    return replace(told, broke=broke, mended=mended, same=_same(was, now), moved=moved)


def _same(was: Outputs | None, now: Outputs | None) -> bool:
    if isinstance(was, torch.Tensor) and isinstance(now, torch.Tensor):
        return was.shape[1] <= now.shape[1] and torch.equal(was, now[:, : was.shape[1]])
    return isinstance(was, list) and was == now


def _promised(method: Method, stage: Stage, newest: Stage) -> list[str]:
    """Return the modalities whose vectors the newest stage was not to move."""
    kept = {*stage.test.modalities} - {mediator(method), *newest.modalities}
    return sorted(m for m in kept if m is not None) if "vectors" in method.model.promises else []


def _change(before: Method, after: Method, test: Samples, modality: str) -> float:
    was, now = (clips(method, test, modality).vectors for method in (before, after))
    return float((was - now).abs().max()) if len(was) else 0.0


def _score(judge: Any, method: Method | None, test: Samples, batch_size: int) -> float | None:
    if method is None or not _sees(method, test):
        return None
    found: float | None = judge.score(method, test, batch_size=batch_size)
    return found


def _sees(method: Method, test: Samples) -> bool:
    known = {m for outline in method.model.grown for m in outline.modalities}
    return bool(len(test)) and not known.isdisjoint(test.modalities)


def _outputs(method: Method, test: Samples, batch_size: int) -> Outputs | None:
    """Return (N, K) what a model says of classes, (M, D) vectors in a space, or N texts; None where it is neither."""
    if has_space(method):
        return torch.cat([clips(method, test, m).vectors for m in test.modalities])
    if "one row a sample" in method.model.provides:
        return torch.cat([method.predict(batch).logits for batch in method.batches(test, size=batch_size)]).cpu()
    return written(method, test) if "answer" in test.columns else None


def _flips(
    test: Samples, names: Sequence[str], was: Outputs | None, now: Outputs | None
) -> tuple[tuple[Flip, ...], tuple[Flip, ...]]:
    """Return the samples that broke and those that were mended."""
    if not isinstance(was, torch.Tensor) or not isinstance(now, torch.Tensor):
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


def _told(stage: Stage, before: Method, after: Method) -> tuple[tuple[Flip, ...], tuple[Flip, ...]]:
    """Return the questions whose answer was right and is wrong, and the other way round."""
    was, now = (written(method, stage.test) for method in (before, after))
    rows = zip(stage.test.ids.tolist(), references(stage.test), was, now, strict=True)
    judged = [(Flip(id=name, wanted=right[0], before=old, after=new), matches(old, right), matches(new, right))
              for name, right, old, new in rows]  # fmt: skip
    broke = tuple(flip for flip, was_right, is_right in judged if was_right and not is_right)
    return broke, tuple(flip for flip, was_right, is_right in judged if is_right and not was_right)
