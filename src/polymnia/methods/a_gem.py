"""`a-gem`: a step may not raise the loss on a draw from memory, to first order."""

from typing import ClassVar

import torch

from polymnia.data.batch import Batch
from polymnia.data.stage import Stage
from polymnia.methods.base import Off, Terms, register
from polymnia.methods.replay import Replay


@register("a-gem")
class AGEM(Replay):
    """Averaged gradient episodic memory: a gradient that opposes the memory's is made orthogonal to it.

    With g the gradient of the batch and r that of a draw from the memory, g becomes ``g − (g·r / r·r) r`` where
    g·r < 0. As in the paper, the memory holds earlier stages only: it is filled after a stage. It is one memory over
    all stages, drawn from uniformly; the paper's has equal room for each task.

    Source: Chaudhry et al. 2019 (Efficient lifelong learning with A-GEM), eq. 11 and alg. 1.
    """

    off: ClassVar[Off] = {"memory": 0}
    rows: int = 0

    def loss(self, batch: Batch) -> Terms:
        """Return the task's loss over the batch alone."""
        self.rows = self.amount(batch)
        return {"task": self.task_loss(self.model(batch))}

    def after_backward(self) -> None:
        """Take out of the gradient what opposes the memory's."""
        if not len(self.memory):
            return
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        loss = self.task_loss(self.model(self.memory.draw(self.rows)))
        reference = list(torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True))
        self.average(reference)
        pairs = [(p, r) for p, r in zip(parameters, reference, strict=True)]
        agreement = torch.stack([(p.grad * r).sum() for p, r in pairs if p.grad is not None]).sum()
        if agreement < 0:
            share = agreement / torch.stack([r.square().sum() for r in reference]).sum()
            for p, r in pairs:
                p.grad = -share * r if p.grad is None else p.grad - share * r

    def after_stage(self, stage: Stage) -> None:
        """Offer the stage's samples to the memory."""
        if self.memory.online and self.memory.capacity:
            for batch in self.batches(stage.train):
                self.memory.add(batch)
        super().after_stage(stage)
