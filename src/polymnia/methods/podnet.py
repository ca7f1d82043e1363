"""`podnet`: pooled distillation of what happens inside the model, with a memory."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor

from polymnia.data.batch import Batch
from polymnia.losses.pooled import flat, pooled
from polymnia.methods.base import Off, Terms, register
from polymnia.methods.taught import Lesson, Taught, inside, mean_over, share_scale
from polymnia.models.base import Output


@register("podnet")
class PODNet(Taught):
    """Pooled output distillation: tokens inside the model may move, as long as their pooled shapes stay.

    Adds ``√(C_all / C_stage) · (spatial · mean over blocks and modalities of POD-spatial + flat · POD-flat)`` over
    each batch joined with a draw from the memory: `losses.pooled.pooled` for each block's tokens, `flat` for the joint
    representation. A family without blocks has its representations of each modality in their place, as one token.

    Adapted: the paper pools convolutions' maps (see `pooled`) and has its own classifier, local similarity with an
    NCA loss, and a fine-tuning on the balanced memory; here the model's head and cross-entropy serve, as in the other
    methods. Distances are squared as in the paper; the authors' code takes them unsquared.

    Source: Douillard et al. 2020, section 3.1; eq. 7 for the sum and its scale.
    """

    off: ClassVar[Off] = MappingProxyType({"memory": 0, "spatial": 0.0, "flat": 0.0})

    @dataclass(frozen=True, kw_only=True)
    class Settings(Taught.Settings):
        """The losses' weights, and the paper's choice of what is kept."""

        policy: str = "herding"
        spatial: float = 3.0
        flat: float = 1.0

    settings: Settings

    @property
    def teaches(self) -> bool:
        """Whether any loss has a weight that needs the teacher."""
        return bool(self.settings.spatial or self.settings.flat)

    def loss(self, batch: Batch) -> Terms:
        """Return the task's loss and the two distillations."""
        s, joined = self.settings, self.joined(batch)
        output, lesson = self.model(joined), self.lesson(joined)
        terms = {"task": self.task_loss(output)}
        if lesson is not None:
            scale = share_scale(output, self.model)
            if s.spatial:
                terms["spatial"] = s.spatial * scale * spatial(output, lesson)
            if s.flat:
                new, old = (one.representations["joint"] for one in (output, lesson.output))
                terms["flat"] = s.flat * scale * mean_over(flat(new, old), lesson.sees)
        return terms


def spatial(output: Output, lesson: Lesson) -> Tensor:
    """Return the mean over blocks and modalities of the mean over samples that have the modality of `pooled`."""
    lost = []
    for new, old in zip(inside(output), inside(lesson.output), strict=True):
        for m, tokens in old.items():
            valid = lesson.batch.mask(m) if output.blocks else None
            lost.append(mean_over(pooled(new[m], tokens, valid=valid), lesson.batch.has(m)))
    return torch.stack(lost).mean()
