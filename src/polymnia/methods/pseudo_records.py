"""What became of pseudo targets: how many, how many right where that is known; and wrong ones put in on purpose."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from polymnia.data.samples import Samples
from polymnia.data.stage import Outline
from polymnia.data.truth import truth_of
from polymnia.methods.pseudo_targets import Made

EXAMPLES = 12

Record = dict[str, Any]
"""Of one stage, as JSON."""


def recorded(made: Made, samples: Samples, stage: Outline) -> Record:
    """Return what was made for a stage's training samples, before anything is trained on it.

    `inputs`: for how many inputs a target was asked; `kept`, `dropped`: how many inputs have one, and why others have
    none; `checked`, `right`: for how many samples the truth is known, and for how many of these the target is the same
    text; `wrong`: how many samples' targets are wrong ones put in on purpose, afterwards; `examples`: some.
    """
    truth = truth_of(samples)
    known = [truth(row, made.questions[row]) if made.targets[row] else None for row in range(len(samples))]
    right = [None if t is None else t == made.targets[row] for row, t in enumerate(known)]
    rows = [row for row in range(len(samples)) if made.targets[row]]
    shown = rows[:: max(len(rows) // EXAMPLES, 1)][:EXAMPLES]
    return {
        "stage": stage.index,
        "name": stage.name,
        "task": made.task,
        "inputs": made.inputs,
        "kept": made.inputs - sum(made.dropped.values()),
        "dropped": dict(made.dropped),
        "checked": sum(found is not None for found in right),
        "right": sum(found is True for found in right),
        "wrong": 0,
        "examples": [
            {
                "sample": str(samples.ids[row]),
                "question": made.questions[row],
                "target": made.targets[row],
                "truth": known[row],
            }
            for row in shown
        ],
    }


def spoilt(made: Made, samples: Samples, share: float, generator: torch.Generator) -> tuple[Made, int]:
    """Return targets of which a share is replaced by wrong ones, and how many were.

    A wrong target is one of another sample that was asked the same question; it is neither the sample's own nor, where
    that is known, the right one.

    Parameters
    ----------
    made : Made
        The targets.
    samples : Samples
        Theirs.
    share : float
        Of the samples that have a target.
    generator : Generator
        Of which samples, and of what they get.
    """
    rows = [row for row, target in enumerate(made.targets) if target]
    count = int(share * len(rows) + 0.5)
    if not count:
        return made, 0
    truth = truth_of(samples)
    by_question: dict[str, set[str]] = {}
    for row in rows:
        by_question.setdefault(made.questions[row], set()).add(made.targets[row])
    others = {question: sorted(targets) for question, targets in by_question.items()}
    chosen = torch.randperm(len(rows), generator=generator)[:count].tolist()
    begins = torch.randint(2**31, (count,), generator=generator).tolist()
    targets, replaced = list(made.targets), 0
    for row, begin in zip([rows[at] for at in chosen], begins, strict=True):
        question = made.questions[row]
        other = _other(others[question], begin, {made.targets[row], truth(row, question)})
        if other is not None:
            targets[row] = other
            replaced += 1
    return replace(made, targets=targets), replaced


def _other(targets: Sequence[str], begin: int, without: set[str | None]) -> str | None:
    """Return the first target from a place on, around the end, that is not left out."""
    n = len(targets)
    return next((t for t in (targets[(begin + i) % n] for i in range(n)) if t not in without), None)
