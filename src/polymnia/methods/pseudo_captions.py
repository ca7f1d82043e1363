"""Pseudo captions: the model of the stage before describes the new samples."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch

from polymnia.data.batch import Batch
from polymnia.data.samples import Samples
from polymnia.data.wording import CAPTIONING, plain
from polymnia.hosts.causal import Decoding
from polymnia.hosts.texts import PROMPT, padded
from polymnia.methods.pseudo_targets import Made, inputs, worded

Batches = Callable[[Samples], Iterator[Batch]]
"""Samples to their batches, in order, on the device of the model."""


def described(teacher: Any, samples: Samples, *, batches: Batches, decoding: Decoding, seed: int) -> Made:
    """Return a caption of each sample, as a model writes it.

    Parameters
    ----------
    teacher : Model
        A language model that has seen the samples' modalities.
    samples : Samples
        Encoded.
    batches : callable
        Samples to batches.
    decoding : Decoding
        How the model writes.
    seed : int
        Of the wordings in which it is asked: those of training, not of tests.

    Source: Pian et al. 2024 (MoInCL), PTGM: once, before the first epoch, for the whole training set.
    """
    rows, of = inputs(samples)
    first = samples.subset(torch.tensor(rows))
    tokeniser, most = teacher.loaded.tokeniser, teacher.settings.prompt_tokens
    prompts = worded(teacher, first, CAPTIONING, [""] * len(first), seed=seed)
    asked = replace(first, sequences={PROMPT: padded([tokeniser.prompt(prompt, most=most) for prompt in prompts])})
    texts = [plain(text) for batch in batches(asked) for text in teacher.answer(batch, decoding)]
    empty = sum(not text for text in texts)
    return Made(
        task=CAPTIONING,
        questions=[""] * len(samples),
        targets=[texts[place] for place in of],
        inputs=len(rows),
        dropped={"nothing was written": empty} if empty else {},
    )
