"""Accuracy of a method on samples, with or without the stage's identity, with all or some modalities."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from polymnia.data.samples import Samples
from polymnia.methods.base import Method


@dataclass(frozen=True)
class Accuracy:
    """How many were right, of how many."""

    right: int
    of: int

    @property
    def score(self) -> float:
        """The share that was right; NaN when there was nothing to score."""
        return self.right / self.of if self.of else float("nan")


def accuracy(
    method: Method, samples: Samples, *, among: Sequence[int] | None = None, batch_size: int = 512
) -> Accuracy:
    """Return how many rows a method gets right.

    Parameters
    ----------
    method : Method
        Its `predict` is what is scored.
    samples : Samples
        Encoded.
    among : sequence of int, optional
        The classes it may choose from (task-incremental evaluation); None: all it knows.
    batch_size : int
        Rows at once; it cannot change the result.
    """
    right = of = 0
    for batch in method.batches(samples, batch_size):
        output = method.predict(batch)
        logits, targets = output.logits, output.targets
        if among is not None:
            allowed = torch.full_like(logits, float("-inf"))
            allowed[:, [c for c in among if c < logits.shape[1]]] = 0.0
            logits = logits + allowed
        counts = targets >= 0
        right += int((logits.argmax(1) == targets)[counts].sum())
        of += int(counts.sum())
    return Accuracy(right, of)
