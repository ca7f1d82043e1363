"""What the prompting methods share: new classes are learned among themselves."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from polymnia.data.batch import Batch
from polymnia.methods.base import Method, Off, Terms


class Prompting(Method):
    """Base of methods that train prompts and head: what they do about forgetting is the prompts' own affair.

    What a method adds is the head's loss: cross-entropy over the classes of the current stage alone, so that
    its samples do not push the old classes' logits down. The papers' codes all do so; without it the head forgets
    whatever the prompts keep. The family's own losses (those of the prompts, too) are added as ever.

    Trained beside the prompts is all that the family trains: in family `adapted` also a projector for each modality,
    which the papers, with one encoder and a linear head on it, do not have. Over a host the prompts stand before what
    it reads and are chosen by what is asked and seen, nothing is carried beside its layers, and what is said are
    tokens, which are of no stage: there all compete.
    """

    needs = frozenset({"logits"})
    off: ClassVar[Off] = {"local": False}

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """Which classes compete."""

        local: bool = True
        """Whether only the current stage's classes do while training, or all."""

    settings: Any  # a subclass may name its own

    def loss(self, batch: Batch) -> Terms:
        """Return the task's loss, among the stage's own classes if set so."""
        output = self.model(batch)
        if self.settings.local and "one row a sample" in self.model.provides:
            output = replace(output, logits=among(output.logits, self.model.grown[-1].classes))
        return {"task": self.task_loss(output)}


def among(logits: Tensor, classes: tuple[int, ...]) -> Tensor:
    """Return logits (B, K) with minus infinity for every class that is not one of these.

    Examples
    --------
    >>> among(torch.tensor([[1.0, 2.0, 3.0]]), (0, 2))
    tensor([[1., -inf, 3.]])
    """
    others = torch.ones(logits.shape[1], dtype=torch.bool, device=logits.device)
    others[list(classes)] = False
    return logits.masked_fill(others, float("-inf"))
