"""The texts of a stream's samples as ids, tokenised once."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from polymnia.data.samples import Samples
from polymnia.data.scenario import SPLITS
from polymnia.data.stage import Stage, Stream
from polymnia.data.wording import asked_in_training
from polymnia.hosts.tokeniser import Tokeniser

PROMPT, ANSWER = "prompt", "answer"
"""Columns of a sample: what is asked, and one right answer. `references` are all right ones, for scores."""


def tokenised(
    stream: Stream,
    tokeniser: Tokeniser,
    *,
    prompt_tokens: int = 512,
    answer_tokens: int = 256,
    templates: bool = False,
    seed: int = 0,
) -> Stream:
    """Return a stream whose samples hold the ids of their texts: `sequences["prompt"]` and `["answer"]`, (N, L).

    With `templates`, each training sample is asked in one of many wordings, drawn once; tests are asked in one.
    """
    ways: dict[str, Callable[[str], list[int]]] = {
        PROMPT: lambda text: tokeniser.prompt(text, most=prompt_tokens),
        ANSWER: lambda text: tokeniser.answer(text, most=answer_tokens),
    }
    known: dict[tuple[str, str], list[int]] = {}

    def ids(name: str, text: str) -> list[int]:
        if (name, text) not in known:
            known[name, text] = ways[name](text)
        return known[name, text]

    def with_ids(samples: Samples, split: str) -> Samples:
        texts = {name: samples.columns[name].tolist() for name in ways if name in samples.columns}
        if templates and split == "train" and PROMPT in texts:
            texts[PROMPT] = _worded(samples, seed)
        made = {name: padded([ids(name, text) for text in rows]) for name, rows in texts.items()}
        return replace(samples, sequences={**samples.sequences, **made})

    stages: list[Stage] = []
    for stage in stream:
        parts = {split: with_ids(getattr(stage, split), split) for split in SPLITS}
        stages.append(replace(stage, **parts, earlier=tuple(stages)))
    return replace(stream, stages=tuple(stages))


def _worded(samples: Samples, seed: int) -> list[str]:
    """Return the samples' prompts in other words."""
    columns = [samples.columns[name].tolist() for name in ("task", PROMPT)]
    seen = [next((m for m in samples.modalities if samples.present[m][row]), "") for row in range(len(samples))]
    return [
        asked_in_training(task, modality, prompt, seed=seed, sample=str(name))
        for task, prompt, modality, name in zip(*columns, seen, samples.ids, strict=True)
    ]


def padded(rows: Sequence[Sequence[int]]) -> Tensor:
    """Return (N, L) int64, -1 behind each end.

    Examples
    --------
    >>> padded([[5], [6, 7]]).tolist()
    [[5, -1], [6, 7]]
    """
    longest = max((len(row) for row in rows), default=0)
    held = [[*row, *[-1] * (longest - len(row))] for row in rows]
    return torch.tensor(held, dtype=torch.int64).reshape(len(rows), longest)
