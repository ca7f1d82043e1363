"""`der++`: dark experience replay; old samples keep their old logits, and their labels."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from polymnia.data.batch import Batch
from polymnia.errors import SettingsError
from polymnia.methods.base import Off, Terms, register
from polymnia.methods.replay import Replay
from polymnia.models.base import Model
from polymnia.randomness import Randomness


@register("der++")
class DERpp(Replay):
    """Dark experience replay: the logits that a sample got when it was met are kept and asked for again.

    Adds ``alpha · mean (h(x') − z')² + beta · CE(h(x''), y'')`` over two draws from the memory; one forward serves
    the batch and both draws. `beta` = 0 is DER. Every visit of a sample is offered to the memory with the logits of
    that visit, as in the paper, so later epochs bring later logits. Logits are compared only on the classes that
    existed when they were kept; the paper's network has all classes from the beginning.

    Source: Buzzega et al. 2020, eq. 6 and alg. 2.
    """

    needs = frozenset({"logits", "one row a sample"})
    off: ClassVar[Off] = {"memory": 0}

    @dataclass(frozen=True, kw_only=True)
    class Settings(Replay.Settings):
        """How strongly logits and labels are asked for."""

        alpha: float = 0.2
        beta: float = 1.0

    settings: Settings

    def __init__(self, model: Model, settings: Any = None, *, randomness: Randomness | None = None) -> None:
        super().__init__(model, settings, randomness=randomness)
        if not self.memory.online:
            raise SettingsError(f"method.policy: der++ keeps logits at each visit; {self.memory.name!r} waits for the "
                                "end of a stage. Take reservoir or class-balanced")  # fmt: skip

    def loss(self, batch: Batch) -> Terms:
        """Return the batch's loss, the drift of kept logits and the loss over kept labels."""
        s, n, b = self.settings, self.amount(batch), len(batch)
        dark, labelled = self.memory.choose(n if s.alpha else 0), self.memory.choose(n if s.beta else 0)
        replayed = self.memory.take(torch.cat([dark, labelled]))
        output = self.model(batch.join(replayed) if len(replayed) else batch)
        terms = {"task": self.task_loss(output.take(slice(b))), **output.losses}
        if len(dark):
            kept = replayed.columns["logits"][: len(dark)]
            terms["logits"] = s.alpha * drift(output.logits[b : b + len(dark)], kept)
        if len(labelled):
            terms["replay"] = s.beta * self.task_loss(output.take(slice(b + len(dark), None)))
        self.memory.add(replace(batch, columns={"logits": output.logits[:b].detach().float()}))
        return terms


def drift(logits: Tensor, kept: Tensor) -> Tensor:
    """Return the mean squared difference of logits (B, K) from kept ones (B, k ≤ K), which are NaN where unknown.

    Examples
    --------
    >>> drift(torch.tensor([[1.0, 2.0, 9.0]]), torch.tensor([[0.0, float("nan")]]))
    tensor(1.)
    """
    known = ~kept.isnan()
    return ((logits[:, : kept.shape[1]] - kept.nan_to_num()) * known).square().sum() / known.sum()
