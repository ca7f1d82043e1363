"""What the methods share that rehearse earlier stages and ask a teacher: the model as the last stage left it."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from polymnia.data.batch import Batch
from polymnia.data.stage import Stage
from polymnia.methods.rehearsal import Rehearsal
from polymnia.models.base import Model, Output


@dataclass(frozen=True, slots=True)
class Lesson:
    """What the teacher says of a batch.

    Parameters
    ----------
    output : Output
        Its output; its modalities and classes are those that it knows.
    batch : Batch
        What it saw: the batch without the modalities that came after it.
    sees : Tensor
        (B,) bool: which samples have any modality that it knows.
    """

    output: Output
    batch: Batch
    sees: Tensor


class Taught(Rehearsal, ABC):
    """Base of methods with a memory of earlier stages and a teacher.

    A stage enters the memory when it ends, so that what is drawn is always old. The teacher is the model between the
    stages, before it grew: its outputs for the old classes are exactly those that were served.
    """

    needs = frozenset({"logits", "representations", "one row a sample"})
    state = ("memory", "teacher")
    policy: ClassVar[str] = "class-balanced"
    teacher: Model | None = None

    @dataclass(frozen=True, kw_only=True)
    class Settings(Rehearsal.Settings):
        """How many samples are kept, and which."""

        policy: str = "class-balanced"
        """Which samples stay: the name of a memory (class-balanced, herding, reservoir)."""

    settings: Any  # a subclass names its own

    @property
    @abstractmethod
    def teaches(self) -> bool:
        """Whether any loss has a weight that needs the teacher."""

    def joined(self, batch: Batch) -> Batch:
        """Return the batch with what is drawn from the memory."""
        replayed = self.drawn(batch)
        return batch.join(replayed) if len(replayed) else batch

    def lesson(self, batch: Batch) -> Lesson | None:
        """Return what the teacher says; None without a teacher, or when it knows none of the modalities."""
        if self.teacher is None or not self.teaches:
            return None
        known = batch.only({m for stage in self.teacher.grown for m in stage.modalities})
        if not known.values:
            return None
        with torch.no_grad():  # not inference mode: the student's graph keeps what the teacher said
            output = self.teacher(known)
        return Lesson(output, known, torch.stack([known.has(m) for m in known.modalities]).any(0))

    def after_stage(self, stage: Stage) -> None:
        """Remember the stage, and keep the model as the next stage's teacher."""
        if self.memory.capacity:
            self.memory.add(stage.train.batch(torch.arange(len(stage.train))).to(self.device))
        self.teacher = self.model.frozen_copy() if self.teaches else None


def mean_over(values: Tensor, counts: Tensor) -> Tensor:
    """Return the mean of (B,) values over the rows that count, 0 when none does.

    Examples
    --------
    >>> mean_over(torch.tensor([1.0, 5.0]), torch.tensor([False, True]))
    tensor(5.)
    """
    return (values * counts).sum() / counts.sum().clamp(min=1)


def inside(output: Output) -> list[dict[str, Tensor]]:
    """Return each block's modality → tokens (B, T, d); without blocks, the representations as one block (B, 1, D)."""
    if output.blocks:
        return output.blocks
    return [{m: r[:, None] for m, r in output.representations.items() if m != "joint"}]


def share_scale(output: Output, model: Model) -> float:
    """Return √(classes so far / classes in this stage), by which distillation grows as there is more to keep.

    Source: Douillard et al. 2020 (PODNet), eq. 7; Kang et al. 2022 (AFC). It is √t for stages of equal size.
    """
    return (output.logits.shape[1] / max(len(model.grown[-1].classes), 1)) ** 0.5
