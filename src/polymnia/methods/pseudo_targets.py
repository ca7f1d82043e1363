"""Pseudo targets: an earlier kind of task, asked of the new samples; a part of its own, for any method."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from polymnia.data.batch import Batch
from polymnia.data.samples import Samples, shortened
from polymnia.data.stage import Outline
from polymnia.data.tokens import Tokens
from polymnia.data.wording import ANSWERING, CAPTIONING, asked, asked_in_training
from polymnia.hosts.texts import ANSWER, PROMPT, padded

OF_PSEUDO = "pseudo "
"""Before a column's name: the pseudo pair of a sample."""


def routed(
    stage: Outline, *, tasks: Collection[str], seen: Collection[str], captions: bool = True, answers: bool = True
) -> str | None:
    """Return the task whose targets are to be made in a stage; None for none.

    While answering is learned, captions, where captioning was learned and every modality of the stage was seen, for
    the old model has to see it. While captioning is learned, questions and answers, once answering was learned: they
    come from the captions' text, which asks for no old skill with the modality.

    Parameters
    ----------
    stage : Outline
        What is being learned.
    tasks, seen : collection of str
        Tasks and modalities of earlier stages.
    captions, answers : bool
        Whether each way is wanted.

    Source: Pian et al. 2024 (MoInCL), PTGM; that captions need a seen modality is set by hand in its scripts.

    Examples
    --------
    >>> about = Outline(index=3, name="answering audio", task="answering", modalities=("audio",))
    >>> routed(about, tasks={"captioning"}, seen={"audio"}), routed(about, tasks={"captioning"}, seen={"image"})
    ('captioning', None)
    """
    if stage.task == ANSWERING and captions and CAPTIONING in tasks and set(stage.modalities) <= set(seen):
        return CAPTIONING
    if stage.task == CAPTIONING and answers and ANSWERING in tasks:
        return ANSWERING
    return None


@dataclass(frozen=True)
class Made:
    """What was made for N samples.

    Parameters
    ----------
    task : str
        "captioning" or "answering".
    questions : list of str
        What is asked; "" where the sample is to be described.
    targets : list of str
        The pseudo targets; "" where there is none.
    inputs : int
        How many different inputs the samples have: a target is made once for each.
    dropped : dict
        Why targets were dropped → how many, of inputs.
    """

    task: str
    questions: list[str]
    targets: list[str]
    inputs: int
    dropped: dict[str, int]


def inputs(samples: Samples) -> tuple[list[int], list[int]]:
    """Return the first row of each different input, and for each sample the place of its own among them.

    Samples whose tokens are the same piece of one tensor have one input: an image that is asked about five times is
    described once.
    """
    starts = [samples.present[m].tolist() for m in samples.modalities]
    for m in samples.modalities:
        column = samples.values[m]
        starts.append(column.start.tolist() if isinstance(column, Tokens) else list(range(len(samples))))
    places: dict[tuple[Any, ...], int] = {}
    first: list[int] = []
    of: list[int] = []
    for row, key in enumerate(zip(*starts, strict=True)):
        if key not in places:
            places[key] = len(first)
            first.append(row)
        of.append(places[key])
    return first, of


def worded(model: Any, samples: Samples, task: str, questions: Sequence[str], *, seed: int) -> list[str]:
    """Return how each sample is asked: in one of many wordings where the model is trained so, drawn by its id."""
    prompts = []
    for row, (name, question) in enumerate(zip(samples.ids.tolist(), questions, strict=True)):
        m = next((m for m in samples.modalities if samples.present[m][row]), "")
        if model.settings.templates:
            prompts.append(asked_in_training(task, m, question, seed=seed, sample=f"{OF_PSEUDO}{name}"))
        else:
            prompts.append(asked(task, m, question))
    return prompts


def as_ids(model: Any, samples: Samples, made: Made, *, seed: int) -> dict[str, Tensor]:
    """Return the ids (N, L) of the pseudo pairs, by the names of their columns; samples that have none are all -1."""
    s, tokeniser = model.settings, model.loaded.tokeniser
    prompts = worded(model, samples, made.task, made.questions, seed=seed)
    pairs = [
        (tokeniser.prompt(prompt, most=s.prompt_tokens), tokeniser.answer(target, most=s.answer_tokens))
        if target
        else ([], [])
        for prompt, target in zip(prompts, made.targets, strict=True)
    ]
    names = (f"{OF_PSEUDO}{PROMPT}", f"{OF_PSEUDO}{ANSWER}")
    return {name: padded([pair[at] for pair in pairs]) for at, name in enumerate(names)}


def with_pairs(samples: Samples, ids: dict[str, Tensor]) -> Samples:
    """Return samples that carry their pseudo pairs along."""
    return replace(samples, sequences={**samples.sequences, **ids}) if ids else samples


def pairs_of(batch: Batch, share: float) -> Batch:
    """Return the pseudo pairs of the first samples of a batch that have one, at most this share of its size.

    Examples
    --------
    >>> import torch
    >>> ids = {"pseudo prompt": torch.tensor([[-1], [5], [6]]), "pseudo answer": torch.tensor([[-1], [7], [8]])}
    >>> pairs_of(Batch({}, torch.tensor([-1, -1, -1]), columns=ids), 0.4).columns
    {'prompt': tensor([[5]]), 'answer': tensor([[7]])}
    """
    made = batch.columns.get(f"{OF_PSEUDO}{ANSWER}")
    if made is None or not share:
        return batch.take(slice(0, 0))
    rows = (made >= 0).any(1).nonzero().flatten()[: int(share * len(batch) + 0.5)]
    pairs = batch.take(rows)
    pairs.columns = {name: shortened(pairs.columns[f"{OF_PSEUDO}{name}"]) for name in (PROMPT, ANSWER)}
    return pairs
