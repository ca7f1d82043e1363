"""`icarl`: nearest mean of exemplars, over features that distillation holds in place."""

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, normalize, one_hot

from polymnia.data.batch import Batch
from polymnia.data.stage import Stage
from polymnia.methods.base import Off, Terms, register
from polymnia.methods.rehearsal import CHUNK, Rehearsal
from polymnia.models.base import Model, Output


@register("icarl")
class ICaRL(Rehearsal):
    """Incremental classifier and representation learning.

    Every class is a yes-or-no question to a sigmoid. For new classes the answer is the label's, for old ones what
    the model of the last stage says, both on the batch and on exemplars; the loss is the sum over classes and the
    mean over samples. Exemplars are chosen by herding after each stage, and prediction is the class whose exemplars'
    mean is nearest, all features at length 1. While a stage lasts its classes have no exemplars, and the sigmoids
    predict.

    The paper trains on the shuffled union of stage and exemplars; here each batch is joined with a draw of
    exemplars, as in the other methods that rehearse, so that they compare at equal cost.

    Source: Rebuffi et al. 2017, alg. 1 (prediction), 3 (loss), 4 and 5 (exemplars).
    """

    needs = frozenset({"logits", "representations", "one row a sample"})
    state = ("memory", "teacher", "means")
    policy = "herding"
    off: ClassVar[Off] = "its loss is over sigmoids; without exemplars it is the paper's LwF.MC, not fine-tuning"
    teacher: Model | None = None
    means: Tensor | None = None

    def before_stage(self, stage: Stage) -> None:
        """Let the sigmoids predict until the stage has exemplars."""
        self.means = None

    def loss(self, batch: Batch) -> Terms:
        """Return the sum over classes of the cross-entropy between sigmoids and wanted answers."""
        replayed = self.drawn(batch)
        joined = batch.join(replayed) if len(replayed) else batch
        output = self.model(joined)
        wanted = one_hot(output.targets.clamp(min=0), output.logits.shape[1]).to(output.logits.dtype)
        if self.teacher is not None:
            remind(wanted, self.teacher, joined)
        lost = binary_cross_entropy_with_logits(output.logits, wanted, reduction="none").sum(1)
        counts = output.targets >= 0
        return {"task": (lost * counts).sum() / counts.sum().clamp(min=1), **output.losses}

    def after_stage(self, stage: Stage) -> None:
        """Keep the model as teacher, choose exemplars, and take their means."""
        super().after_stage(stage)
        self.teacher = self.model.frozen_copy()
        self.means = self.exemplar_means() if len(self.memory) else None

    def exemplar_means(self) -> Tensor:
        """Return (K, D): the mean feature of each class's exemplars at length 1; zeros where there are none."""
        held = [self.memory.take(slots) for slots in torch.arange(len(self.memory)).split(CHUNK)]
        features, targets = torch.cat([self.features(part) for part in held]), torch.cat([p.targets for p in held])
        classes = 1 + max(c for stage in self.model.grown for c in stage.classes)
        return normalize(features.new_zeros(classes, features.shape[1]).index_add(0, targets, features), dim=1)

    @torch.inference_mode()
    def predict(self, batch: Batch) -> Output:
        """Return minus the squared distance to each class's mean, from -4 to 0; -4 for a class without exemplars."""
        output = self.model.predict(batch)
        if self.means is not None:
            cosine = normalize(output.representations["joint"].float(), dim=1) @ self.means.T
            output.logits = (2 * cosine - 2).masked_fill(~self.means.any(1), -4.0)
        return output


def remind(wanted: Tensor, teacher: Model, batch: Batch) -> None:
    """Write the teacher's answers (B, k) over the first k columns of `wanted` (B, K).

    Rows that have none of the modalities the teacher knows stay as they are.
    """
    known = batch.only({m for stage in teacher.grown for m in stage.modalities})
    if known.values:
        answers = teacher.predict(known).logits.sigmoid().to(wanted.dtype)
        old = wanted[:, : answers.shape[1]]
        if all(known.present.get(m) is not None for m in known.values):
            sees = torch.stack([known.has(m) for m in known.values]).any(0)
            answers = torch.where(sees[:, None], answers, old)
        old.copy_(answers)
