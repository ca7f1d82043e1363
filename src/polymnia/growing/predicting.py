"""What a model says of new values: the likeliest classes, each with its probability, or a text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from polymnia.data.modality import Raw
from polymnia.data.samples import Samples
from polymnia.data.stage import Card, Kept, Stream
from polymnia.data.wording import ANSWERING, CAPTIONING, asked
from polymnia.errors import DataError, SettingsError
from polymnia.serving.loading import Learned
from polymnia.training.build import ready

Values = Mapping[str, Sequence[Raw | None]]
"""Modality → N values, None where a thing lacks it."""


@dataclass(frozen=True)
class Prediction:
    """The likeliest classes of one thing, or why nothing can be said.

    Parameters
    ----------
    classes : tuple
        (name, probability), the likeliest first.
    broken : Mapping
        Modality → why its value cannot be read; what is left was looked at.
    """

    classes: tuple[tuple[str, float], ...]
    broken: Mapping[str, str]


@dataclass(frozen=True)
class Answer:
    """What is written about one thing, or why nothing is.

    Parameters
    ----------
    text : str
        "" where nothing could be read.
    broken : Mapping
        As of a prediction.
    """

    text: str
    broken: Mapping[str, str]


def predictions(learned: Learned, values: Values, *, top: int = 3) -> list[Prediction]:
    """Return the likeliest classes of N things.

    Parameters
    ----------
    learned : Learned
        Over a family that tells classes.
    values : Mapping
        Of the things.
    top : int
        How many classes to name.

    Raises
    ------
    DataError
        The columns differ in length, or there are none.
    SettingsError
        A modality was not learned, or the model tells no classes.
    """
    if learned.tells != "classes":
        instead = "ask for an answer" if learned.tells else "it is searched: polymnia index, polymnia search"
        raise SettingsError(f"{learned.folder}: model {learned.method.model.name!r} tells no classes; {instead}")
    things = _encoded(learned, values)
    said = dict(zip(things.rows, _classes(learned, things.samples, top) if things.rows else [], strict=True))
    return [Prediction(said.get(row, ()), broken) for row, broken in enumerate(things.broken)]


def answers(learned: Learned, values: Values, *, questions: Sequence[str]) -> list[Answer]:
    """Return what a model answers to questions about N things, or its captions of them.

    Parameters
    ----------
    learned : Learned
        Over a family that writes texts.
    values : Mapping
        Of the things.
    questions : sequence of str
        One a thing; empty: a caption.

    Raises
    ------
    DataError
        The columns differ in length, or there are none.
    SettingsError
        A modality was not learned, or the model writes no texts.
    """
    if "text" not in learned.method.model.provides:
        raise SettingsError(f"{learned.folder}: model {learned.method.model.name!r} writes no texts; ask for classes")
    things = _encoded(learned, values)
    mine = [questions[row] for row in things.rows]
    said = dict(zip(things.rows, _texts(learned, things.samples, mine) if mine else [], strict=True))
    return [Answer(said.get(row, ""), broken) for row, broken in enumerate(things.broken)]


@dataclass(frozen=True)
class _Things:
    """Encoded things: samples of those of which something could be read, their rows, and by row what could not."""

    samples: Samples
    rows: list[int]
    broken: list[dict[str, str]]


def _encoded(learned: Learned, values: Values) -> _Things:
    sizes = {modality: len(column) for modality, column in values.items()}
    if len(set(sizes.values())) != 1:
        raise DataError(f"every modality needs as many values as the others; given: {sizes or 'nothing'}")
    n = next(iter(sizes.values()))
    tokens: dict[str, Any] = {}
    present: dict[str, torch.Tensor] = {}
    broken: list[dict[str, str]] = [{} for _ in range(n)]
    for modality, column in values.items():
        held = np.empty(n, dtype=object)
        held[:] = list(column)
        there = torch.tensor([value is not None for value in column], dtype=torch.bool)
        tokens[modality], wrong = learned.encode(modality, held, present=there)
        for row, reason in wrong.items():
            there[row], broken[row][modality] = False, reason
        present[modality] = there
    ids = np.array([str(row) for row in range(n)])
    if any(there.any() for there in present.values()):  # what nobody has may be of no width at all
        present = {modality: there for modality, there in present.items() if there.any()}
    samples = Samples(ids, {modality: tokens[modality] for modality in present}, present, torch.full((n,), -1))
    rows = torch.stack(list(present.values())).any(0).nonzero().flatten()
    return _Things(samples.subset(rows), rows.tolist(), broken)


def _classes(learned: Learned, samples: Samples, top: int) -> list[tuple[tuple[str, float], ...]]:
    method = learned.method
    logits = torch.cat([method.predict(batch).logits for batch in method.batches(samples)]).float().cpu()
    shares, classes = logits.softmax(1).topk(min(top, logits.shape[1]), 1)
    names = learned.class_names
    return [
        tuple((names[c], p) for c, p in zip(row, share, strict=True))
        for row, share in zip(classes.tolist(), shares.tolist(), strict=True)
    ]


def _texts(learned: Learned, samples: Samples, questions: Sequence[str]) -> list[str]:
    """Return what is written, the prompts made and tokenised as those of a stage's tests are."""
    prompts: list[str] = []
    for row, question in enumerate(questions):
        seen = next(m for m in samples.modalities if samples.present[m][row])
        prompts.append(asked(ANSWERING if question else CAPTIONING, seen, question))
    told = replace(samples, columns={**samples.columns, "prompt": np.array(prompts, dtype=np.str_)})
    none = told.subset(torch.zeros(0, dtype=torch.int64))
    stage = Kept(
        index=0, name="asked", task=ANSWERING, modalities=tuple(samples.modalities), train=none, valid=none, test=told
    )
    card = Card(title="asked", licence="", citation="")
    one = Stream(name="asked", scenario="single", stages=(stage,), kinds=dict(learned.kinds), class_names=(), card=card)
    [held] = ready(one, learned.settings)
    return [text for batch in learned.method.batches(held.test) for text in learned.method.answer(batch)]
