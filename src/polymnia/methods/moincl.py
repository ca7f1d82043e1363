"""`moincl`: a language model through changing modalities and tasks, without a memory of samples."""

from collections.abc import Iterator
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor

from polymnia.data.batch import Batch
from polymnia.data.samples import Samples
from polymnia.data.stage import Stage
from polymnia.data.wording import CAPTIONING
from polymnia.hosts.causal import Decoding
from polymnia.losses.token_distillation import over_tokens
from polymnia.methods.base import Method, Off, Terms, register
from polymnia.methods.instruction_distillation import Instructions, instruction_loss, instructions
from polymnia.methods.moincl_settings import MoInCLSettings
from polymnia.methods.pseudo_captions import described
from polymnia.methods.pseudo_questions import asked_about
from polymnia.methods.pseudo_records import Record, recorded, spoilt
from polymnia.methods.pseudo_targets import Made, as_ids, pairs_of, routed, with_pairs
from polymnia.methods.weight_fusion import due, fuse, fusible
from polymnia.models.base import Model
from polymnia.randomness import Randomness, derive


@register("moincl")
class MoInCL(Method):
    """Modality-inconsistent continual learning: pseudo targets, instruction-based distillation, weight fusion.

    ``L = L_task + distil · L_kd + instruct · L_ikd``. L_task is the mean over the answer tokens of the batch and of the
    pseudo pairs that join it: another, earlier kind of task on some of the batch's own samples. L_kd keeps the old
    model's distributions at the pseudo answers' tokens, where it has seen the modality; L_ikd keeps them at every token
    of instructions without picture or sound. Fusion moves the shared weights back towards the old ones.

    The first stage is fine-tuning. No sample of an earlier stage is kept: what survives is the old model's bridges and
    deltas, and the names of the tasks and modalities that were learned.

    All settings are the same in every stage by default. The released scripts tune them by stage and by order: that is
    `per_stage` with `moincl_settings.RELEASED`, and another row in a comparison. Fusion stands in the released code and
    in no abstract; it is off by default.

    Attributes
    ----------
    records : list
        For each stage that had pseudo targets, what became of them.

    Source: Pian et al. 2024 (arXiv 2412.13050), in the form of its released code; eight faults of that code are not
    inherited, and tests name them.
    """

    needs = frozenset({"text", "bridges"})
    state = ("teacher", "tasks", "seen", "pseudo", "records")
    parts = MappingProxyType({"delta": "lora", "places": ("q_proj", "v_proj")})
    off: ClassVar[Off] = MappingProxyType({"pseudo": 0.0, "instruct": 0.0, "fuse": 1.0})

    Settings = MoInCLSettings
    settings: MoInCLSettings
    model: Any
    teacher: Any

    def __init__(self, model: Model, settings: Any = None, *, randomness: Randomness | None = None) -> None:
        super().__init__(model, settings, randomness=randomness)
        self.teacher = None
        self.tasks: list[str] = []
        self.seen: list[str] = []
        self.pseudo: dict[str, Tensor] = {}  # ids (N, L) of the stage's pseudo pairs, by row of its training samples
        self.records: list[Record] = []
        self._pool: Instructions | None = None

    # pseudo targets -------------------------------------------------------------------------------------------

    def before_stage(self, stage: Stage) -> None:
        """Make the stage's pseudo targets, once: the model of the stage before, or the host alone, makes them."""
        now, self.pseudo = self.settings.at(stage.index), {}
        if self.teacher is None or not now.pseudo:
            return
        task = routed(stage, tasks=self.tasks, seen=self.seen, captions=now.captions, answers=now.answers)
        if task is None:
            return
        made = self.made(task, stage)
        record = recorded(made, stage.train, stage)
        generator = self.randomness.fresh("wrong pseudo targets", stage.index)
        made, record["wrong"] = spoilt(made, stage.train, now.wrong, generator)
        self.records = [*self.records, record]
        self.pseudo = as_ids(self.model, stage.train, made, seed=derive(self.randomness.seed, "pseudo wording"))

    def made(self, task: str, stage: Stage) -> Made:
        """Return targets of a task for the stage's training samples."""
        s = self.settings
        if task == CAPTIONING:
            how = Decoding(most=s.most, beams=s.beams, repetition=s.repetition, length=s.length)
            seed = derive(self.randomness.seed, "pseudo wording")
            return described(self.teacher, stage.train, batches=self._some, decoding=how, seed=seed)
        generator = self.randomness.fresh("pseudo questions", stage.index)
        return asked_about(self.model, stage.train, decoding=Decoding(most=s.most), generator=generator)

    def _some(self, samples: Samples) -> Iterator[Batch]:
        """Yield samples as many at once as are written with several beams at a time."""
        return self.batches(samples, 128)

    def training_samples(self, stage: Stage) -> Samples:
        """Return the stage's training samples with their pseudo pairs."""
        return with_pairs(stage.train, self.pseudo)

    # the losses -----------------------------------------------------------------------------------------------

    def loss(self, batch: Batch) -> Terms:
        """Return the task's loss over batch and pseudo pairs, and both distillations."""
        now = self.settings.at(self.clock.stage)
        pairs = pairs_of(batch, now.pseudo)
        output = self.model(batch.join(pairs) if len(pairs) else batch)
        terms = {"task": self.task_loss(output)}
        if len(pairs) and now.distil and set(pairs.modalities) <= set(self.seen):
            terms["distil"] = now.distil * self.distilled(pairs, output.logits)
        if now.instruct and self.instructor is not None and self.instructs():
            ids = self.pool.draw(now.instructions, self.randomness.generator("instructions")).to(self.device)
            lost = instruction_loss(self.model, self.instructor, ids, temperature=now.temperature)
            terms["instruct"] = now.instruct * lost
        return terms

    @property
    def instructor(self) -> Any:
        """Who teaches instructions: the old model, or one that has learned nothing; None: nobody does."""
        return self.bare if self.settings.instructor == "host" else self.teacher

    @cached_property
    def bare(self) -> Any:
        """A model that has not grown: its host carries nothing."""
        return self.model.blank().eval()

    def distilled(self, pairs: Batch, logits: Tensor) -> Tensor:
        """Return L_kd of pseudo pairs, whose tokens are the last of the student's logits (N, V).

        Rows are answers' tokens on both sides, so they are the same ones whatever was padded.
        """
        with torch.no_grad(), self.teacher.evaluating():
            wanted = self.teacher(pairs).logits
        return over_tokens(logits[len(logits) - len(wanted) :], wanted, temperature=self.settings.temperature)

    def instructs(self) -> bool:
        """Return whether instructions are drawn in this stage: there must be something shared that learns."""
        new = not set(self.model.grown[-1].modalities) <= set(self.seen)
        return (self.settings.when == "always" or new) and bool(fusible(self.model))

    @property
    def pool(self) -> Instructions:
        """The pool of instructions; it is tokenised when it is first drawn from."""
        if self._pool is None:
            self._pool = Instructions(self.model, instructions(self.model, self.settings.instructions_file))
        return self._pool

    # fusion, and the end of a stage ---------------------------------------------------------------------------

    def after_step(self) -> None:
        """Fuse with the old weights, when it is time."""
        share = self.settings.at(self.clock.stage).fuse
        if self.teacher is not None and share < 1 and due(self.clock, self.settings.fuse_every):
            fuse(fusible(self.model), dict(self.teacher.named_parameters()), share=share)

    def after_stage(self, stage: Stage) -> None:
        """Keep the model as the next stage's old one, and which task and modalities it has learned."""
        self.tasks = sorted({*self.tasks, stage.task})
        self.seen = sorted({*self.seen, *stage.modalities})
        self.teacher = self.model.frozen_copy() if self.settings.teaches else None
        self.pseudo = {}
