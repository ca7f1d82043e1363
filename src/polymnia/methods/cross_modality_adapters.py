"""`cross-modality-adapters`: experts inside frozen encoders, alignment with the joint view, relations that stay."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor

from polymnia.data.batch import Batch
from polymnia.data.stage import Stage
from polymnia.errors import SettingsError, unknown
from polymnia.losses.alignment import ALIGNMENTS
from polymnia.losses.distillation import kl
from polymnia.losses.relations import RELATIONS
from polymnia.methods.base import Off, Terms, register
from polymnia.methods.freezing import Usage, freeze_used
from polymnia.methods.taught import Lesson, Taught, mean_over
from polymnia.models.base import Model, Output
from polymnia.randomness import Randomness


@register("cross-modality-adapters")
class CrossModalityAdapters(Taught):
    """Cross-modality adapters with representation alignment and preservation of relations.

    ``L = L_cls + distill · √t · L_ld + align · L_al + relate · L_pr`` over each batch joined with a draw from a
    class-balanced memory. t counts stages from 1; L_ld distils the old classes' logits at temperature 2; L_al aligns
    each modality with its view of the joint representation; L_pr keeps how modalities and joint representation stand
    to each other. The teacher is the model before the stage. After the stage the experts that its samples used most
    are frozen in each block, never the last one.

    Inferred, where the paper's text could not be had: the formulae of L_al and L_pr, the memory, what use is, and all
    weights. Use is counted in one pass after the last epoch, so it does not depend on the number of epochs.

    Attributes
    ----------
    usage : list
        For each stage, for each block, for each expert: the sum of its weights over the stage's training samples.

    Source: Chee, Hsu and Lee 2025 (arXiv 2511.06723), the sum of four losses with distillation scaled by √t.
    """

    state = ("memory", "teacher", "usage")
    parts = MappingProxyType({"adapter": {"name": "cross-experts", "freeze": 1}, "views": True})
    off: ClassVar[Off] = MappingProxyType({"memory": 0, "distill": 0.0, "align": 0.0, "relate": 0.0, "freeze": False})

    @dataclass(frozen=True, kw_only=True)
    class Settings(Taught.Settings):
        """The losses' weights, temperatures and forms, and whether experts are frozen."""

        distill: float = 1.0
        align: float = 0.5
        relate: float = 1.0
        distill_temperature: float = 2.0
        align_temperature: float = 0.1
        relate_temperature: float = 0.1
        alignment: str = "views"
        """With what a modality is aligned: its view of the joint representation (views), the joint representation
        itself (shared), or the other modalities (pairs)."""
        relations: str = "similarity"
        """What is kept: similarities of modalities to the joint view (similarity), or within the joint representation
        (joint), or distances of modalities to the joint view (distance)."""
        root: bool = True
        """Whether distillation grows by √t."""
        freeze: bool = True
        """Whether the most used experts are frozen after a stage, in each block as many as the adapter's `freeze`."""

        def __post_init__(self) -> None:
            super().__post_init__()
            if self.alignment not in ALIGNMENTS:
                raise SettingsError(f"method.alignment: {unknown('form of alignment', self.alignment, ALIGNMENTS)}")
            if self.relations not in RELATIONS:
                raise SettingsError(f"method.relations: {unknown('form of relations', self.relations, RELATIONS)}")

    settings: Settings

    def __init__(self, model: Model, settings: Any = None, *, randomness: Randomness | None = None) -> None:
        super().__init__(model, settings, randomness=randomness)
        self.usage: list[Usage] = []
        s = self.settings
        wanting = [
            name for name, wants in (("align", s.align), ("relate", s.relate and s.relations != "joint")) if wants
        ]
        if wanting and "views" not in model.provides:
            raise SettingsError(
                f"method.{wanting[0]}: it compares each modality with its view of the joint representation, and model "
                f"{model.name!r} has no views. Take model=adapted with model.views=true, or set "
                f"{' and '.join(f'method.{name}=0' for name in wanting)}"
            )

    @property
    def teaches(self) -> bool:
        """Whether any loss has a weight that needs the teacher."""
        return bool(self.settings.distill or self.settings.relate)

    def loss(self, batch: Batch) -> Terms:
        """Return the four losses of the batch and what is drawn, each with its weight."""
        s, joined = self.settings, self.joined(batch)
        output, lesson = self.model(joined), self.lesson(joined)
        terms = {"task": self.task_loss(output)}
        if s.align:
            terms["align"] = s.align * ALIGNMENTS[s.alignment](
                output.views,
                output.representations["joint"],
                output.targets,
                temperature=s.align_temperature,
                present={m: joined.has(m) for m in output.views},
            )
        if lesson is not None and s.distill:
            terms["distill"] = s.distill * self.growth * self.distilled(output, lesson)
        if lesson is not None and s.relate:
            terms["relate"] = s.relate * self.preserved(output, lesson)
        return terms

    @property
    def growth(self) -> float:
        """√t, where t is 1 in the first stage; 1 without `root`."""
        return (self.clock.stage + 1) ** 0.5 if self.settings.root else 1.0

    def distilled(self, output: Output, lesson: Lesson) -> Tensor:
        """Return L_ld: the mean over rows that the teacher sees of τ² KL over the old classes."""
        wanted = lesson.output.logits
        lost = kl(output.logits[:, : wanted.shape[1]], wanted, temperature=self.settings.distill_temperature)
        return mean_over(lost, lesson.sees)

    def preserved(self, output: Output, lesson: Lesson) -> Tensor:
        """Return L_pr: the mean over modalities of what was lost of the relations."""
        s, within = self.settings, self.settings.relations == "joint"
        new, old = ((_joint(one) if within else one.views) for one in (output, lesson.output))
        lost, there = [], []
        for m in old:
            counts = lesson.sees if within else lesson.batch.has(m)
            form = RELATIONS[s.relations]
            lost.append(form(new[m], old[m], temperature=s.relate_temperature, counts=counts, itself=not within))
            there.append(counts.any())
        return (torch.stack(lost) * torch.stack(there)).sum() / torch.stack(there).sum().clamp(min=1)

    def after_stage(self, stage: Stage) -> None:
        """Freeze the experts that were used most, then remember the stage and keep the teacher."""
        self.usage.append(freeze_used(self, stage))
        super().after_stage(stage)


def _joint(output: Output) -> dict[str, tuple[Tensor, Tensor]]:
    joint = output.representations["joint"]
    return {"joint": (joint, joint)}
