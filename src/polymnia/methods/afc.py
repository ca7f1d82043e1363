"""`afc`: distillation of what happens inside the model, weighted by how much the loss depends on each channel."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from polymnia.data.batch import Batch
from polymnia.data.stage import Stage
from polymnia.losses.pooled import weighted
from polymnia.methods.base import Off, Terms, register
from polymnia.methods.rehearsal import CHUNK
from polymnia.methods.taught import Lesson, Taught, inside, mean_over, share_scale
from polymnia.models.base import Model, Output
from polymnia.randomness import Randomness


@register("afc")
class AFC(Taught):
    """Adaptive feature consolidation: channels on which the loss depends may move less.

    Adds ``strength · √(C_all / C_stage) · mean over blocks and modalities of Σ_c I_c ‖z'_c − z_c‖²`` over each batch
    joined with a draw from the memory (`losses.pooled.weighted`). When a stage ends, I_c is the mean over its samples
    and the memory's of the squared gradient of a sample's loss with respect to channel c's tokens, in units of the
    block's mean; it bounds to first order what a change of the channel does to the loss.

    Adapted: channels of tokens stand for those of convolutions' maps; gradients are a sample's own, where the
    authors' code takes those of a batch's mean; the model's head and cross-entropy serve. A family without blocks has
    its representations of each modality in their place, as one token. A modality that neither the stage nor the
    memory has keeps its importance.

    Source: Kang et al. 2022, section 3.
    """

    state = ("memory", "teacher", "importance")
    off: ClassVar[Off] = MappingProxyType({"memory": 0, "strength": 0.0})

    @dataclass(frozen=True, kw_only=True)
    class Settings(Taught.Settings):
        """How strong, and the paper's choice of what is kept."""

        policy: str = "herding"
        strength: float = 4.0

    settings: Settings

    def __init__(self, model: Model, settings: Any = None, *, randomness: Randomness | None = None) -> None:
        super().__init__(model, settings, randomness=randomness)
        self.importance: list[dict[str, Tensor]] = []
        """For each block: modality → (d,), of mean 1."""

    @property
    def teaches(self) -> bool:
        """Whether the loss has a weight that needs the teacher."""
        return bool(self.settings.strength)

    def loss(self, batch: Batch) -> Terms:
        """Return the task's loss and the weighted distillation."""
        joined = self.joined(batch)
        output, lesson = self.model(joined), self.lesson(joined)
        terms = {"task": self.task_loss(output)}
        if lesson is not None and self.importance:
            scale = self.settings.strength * share_scale(output, self.model)
            terms["afc"] = scale * self.discrepancy(output, lesson)
        return terms

    def discrepancy(self, output: Output, lesson: Lesson) -> Tensor:
        """Return the mean over blocks and modalities of the mean over samples that have the modality of `weighted`."""
        lost = []
        for new, old, importance in zip(inside(output), inside(lesson.output), self.importance, strict=True):
            for m in old.keys() & importance.keys():
                valid = lesson.batch.mask(m) if output.blocks else None
                moved = weighted(new[m], old[m], importance[m], valid=valid)
                lost.append(mean_over(moved, lesson.batch.has(m)))
        return torch.stack(lost).mean() if lost else output.logits.new_zeros(())

    def after_stage(self, stage: Stage) -> None:
        """Remember the stage, keep the teacher, and measure what the loss depends on."""
        super().after_stage(stage)
        if self.teaches:
            self.importance = self.measured(stage)

    def measured(self, stage: Stage) -> list[dict[str, Tensor]]:
        """Return the importance of every block's channels over the stage's and the memory's samples."""
        totals: list[dict[str, Tensor]] = [dict(block) for block in self.importance]
        fresh: set[tuple[int, str]] = set()
        was_training = self.model.training
        self.model.eval()
        try:
            for batch in self.batches(stage.train, CHUNK):
                self._add(batch, totals, fresh)
            for slots in torch.arange(len(self.memory)).split(CHUNK):
                self._add(self.memory.take(slots).to(self.device), totals, fresh)
        finally:
            self.model.train(was_training)
        return [{m: in_means(total) for m, total in block.items()} for block in totals]

    def _add(self, batch: Batch, totals: list[dict[str, Tensor]], fresh: set[tuple[int, str]]) -> None:
        """Add a batch's sums of squared gradients; the first of a modality in a block replaces what was there."""
        for at, block in enumerate(squared_gradients(self.model, batch)):
            if at == len(totals):
                totals.append({})
            for m, square in block.items():
                totals[at][m] = totals[at][m] + square if (at, m) in fresh else square
                fresh.add((at, m))


def squared_gradients(model: Model, batch: Batch) -> list[dict[str, Tensor]]:
    """Return for each block: modality → (d,), Σ over samples and tokens of (∂ loss of the sample / ∂ token)².

    Only for modalities that any labelled sample of the batch has, and blocks on which trained weights act.
    """
    batch = batch.take(batch.targets >= 0)
    if not len(batch):
        return []
    with torch.enable_grad():
        output = model.forward(batch)  # not model(batch): its hooks would share the rows over processes
        blocks = output.blocks or [{m: r for m, r in output.representations.items() if m != "joint"}]
        wanted = [
            (at, m, tokens)
            for at, block in enumerate(blocks)
            for m, tokens in block.items()
            if tokens.requires_grad and bool(batch.has(m).any())
        ]
        leaves = [tokens for _, _, tokens in wanted]
        lost = cross_entropy(output.logits, output.targets, reduction="sum")
        gradients = torch.autograd.grad(lost, leaves, materialize_grads=True) if leaves else ()
    squares: list[dict[str, Tensor]] = [{} for _ in blocks]
    for (at, m, _), gradient in zip(wanted, gradients, strict=True):
        squares[at][m] = gradient[batch.has(m)].flatten(0, -2).square().sum(0)
    return squares


def in_means(values: Tensor) -> Tensor:
    """Return values over their mean; zeros stay.

    Examples
    --------
    >>> in_means(torch.tensor([1.0, 3.0])).tolist()
    [0.5, 1.5]
    """
    mean = values.mean()
    return values / torch.where(mean > 0, mean, 1.0)
