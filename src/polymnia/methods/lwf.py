"""`lwf`: learning without forgetting; the model of the last stage teaches what it knew, on the new samples."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from polymnia.data.batch import Batch
from polymnia.data.stage import Stage
from polymnia.hosts.texts import ANSWER
from polymnia.losses.distillation import kl
from polymnia.methods.base import Method, Off, Terms, register
from polymnia.models.base import Model, Output


@register("lwf")
class LwF(Method):
    """Learning without forgetting: the old classes' logits on new samples stay near those of the last model.

    Adds ``strength · T² · KL(teacher ‖ student)`` over the old classes' softmax at temperature T. The teacher sees
    only what it knew: a sample without any of its modalities is not distilled. A copy of the model is kept.

    The paper trains a head per task; here the classes share one head, and the task's loss is the cross-entropy over
    all of them, as in fine-tuning. Its warm-up, in which new rows train alone first, is left out.

    Source: Li and Hoiem 2017, eqs. 2 and 3; T² as in Hinton et al. 2015.
    """

    needs = frozenset({"logits"})
    state = ("teacher",)
    off: ClassVar[Off] = {"strength": 0.0}

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """How strong, and how soft."""

        strength: float = 1.0
        temperature: float = 2.0

    settings: Settings
    teacher: Model | None = None

    def loss(self, batch: Batch) -> Terms:
        """Return the task's loss and the distillation."""
        output = self.model(batch)
        terms = {"task": self.task_loss(output)}
        if self.teacher is not None and self.settings.strength:
            terms["lwf"] = self.settings.strength * self.distilled(self.teacher, batch, output)
        return terms

    def distilled(self, teacher: Model, batch: Batch, output: Output) -> Tensor:
        """Return the mean over rows of what the student lost, 0 for rows that the teacher cannot see."""
        every = "drawing" in teacher.provides  # the host reads all pictures, whatever their modality is called
        known = batch if every else batch.only({m for stage in teacher.grown for m in stage.modalities})
        if not known.values:
            return output.logits.sum() * 0.0
        wanted = teacher.predict(known).logits.clone()  # out of inference mode, or autograd could not keep it
        lost = kl(output.logits[:, : wanted.shape[1]], wanted, temperature=self.settings.temperature)
        if not every and all(known.present.get(m) is not None for m in known.values):
            sees = torch.stack([known.has(m) for m in known.values]).any(0)
            if "text" in teacher.provides:  # rows are the answers' tokens
                sees = sees.repeat_interleave((batch.columns[ANSWER] >= 0).sum(1))
            lost = lost * sees
        return lost.mean()

    def after_stage(self, stage: Stage) -> None:
        """Keep the model as the next stage's teacher."""
        self.teacher = self.model.frozen_copy()
