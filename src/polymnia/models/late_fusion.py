"""`late-fusion`: a classifier for each modality; the mean of their probabilities decides."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from polymnia.data.batch import Batch
from polymnia.data.stage import Outline
from polymnia.errors import SettingsError
from polymnia.layers.fusion import MeanFusion
from polymnia.layers.heads import HEADS
from polymnia.layers.projectors import PROJECTORS, masked_mean
from polymnia.models.base import Model, Output, check_modalities, register


@register("late-fusion")
class LateFusion(Model):
    """A projector and a growing head for each modality; logits are the log of the mean of their probabilities.

    The mean is over the modalities that a sample has. Nothing is shared between modalities: the cheap rival of every
    model that fuses earlier.

    Training: `losses` then holds for each modality "own, <modality>", the cross-entropy of its own head, `own` times
    the mean over rows, those that lack the modality or a label counting 0. `Method.task_loss` adds them to the
    cross-entropy of the mean, so a modality is trained to be right alone, and by the mean in proportion to its share of
    the target's probability. By Jensen's inequality the mean's loss is never above the mean of their own losses. Losses
    that a method takes from logits alone (distillation, a memory's logits) reach all heads through the mean.

    Growth leaves each modality's representation, and its head's logits of old classes, unchanged bit for bit. Old
    classes' *probabilities* cannot stay, for they sum to 1 with those of new classes; nor can, therefore, these logits,
    which are log-probabilities.

    Examples
    --------
    >>> model = LateFusion()
    >>> model.grow(Outline(index=0, name="first", modalities=("image",), classes=(0, 1), widths={"image": 8}))
    >>> output = model.predict(Batch({"image": torch.zeros(3, 1, 8)}, torch.tensor([0, 1, 1])))
    >>> output.logits.exp().sum(1)
    tensor([1., 1., 1.])
    """

    provides = frozenset({"logits", "representations", "one row a sample"})

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """Width of each modality's representation, and which parts."""

        width: int = 128
        projector: str = "normalised"
        hidden: tuple[int, ...] = ()
        """Hidden widths of projector "mlp"."""
        dropout: float = 0.0
        head: str = "linear"
        own: float = 1.0
        """How much each modality's own cross-entropy counts beside that of the mean."""

        def __post_init__(self) -> None:
            if self.own < 0:
                raise SettingsError(f"model.own: {self.own} is given, and it cannot be below 0")

    settings: Settings

    def __init__(self, settings: Settings | None = None, *, seed: int = 0) -> None:
        super().__init__(settings, seed=seed)
        self.projectors, self.heads = nn.ModuleDict(), nn.ModuleDict()
        self.fusion = MeanFusion()

    @classmethod
    def pools(cls, settings: Any) -> bool:
        """Return that one vector a value is enough."""
        return True

    def _grow(self, stage: Outline) -> None:
        make, s = PROJECTORS.get(self.settings.projector), self.settings
        check_modalities(stage)
        for m in stage.modalities:
            if m not in self.projectors:
                self.projectors[m] = make(stage.widths[m], s.width, hidden=s.hidden, dropout=s.dropout)
                self.heads[m] = HEADS.get(s.head)()
        known = max(c for outline in (*self.grown, stage) for c in (*outline.classes, -1)) + 1
        for m in sorted(self.heads):  # also those that the stage lacks: each has a logit for every class
            head: Any = self.heads[m]
            head.grow(known, s.width)

    def forward(self, batch: Batch) -> Output:
        """Return logits (B, K), which are log-probabilities, and representations (B, D) by modality and their mean."""
        names = [m for m in batch.modalities if m in self.projectors]
        if not names:
            raise SettingsError(f"the batch has {batch.modalities}; the model knows {sorted(self.projectors)}")
        parts = {m: self.projectors[m](masked_mean(batch.values[m], batch.valid.get(m))) for m in names}
        present = torch.stack([batch.has(m) for m in names], 1)
        logits = torch.stack([self.heads[m](parts[m]) for m in names], 1)  # (B, M, K)
        joint = self.fusion(torch.stack(list(parts.values()), 1), present, names)
        return Output(
            log_of_mean(logits.log_softmax(2), present),
            batch.targets,
            {**parts, "joint": joint},
            self._own(names, logits, present, batch.targets) if self.training and self.settings.own else {},
        )

    def _own(self, names: list[str], logits: Tensor, present: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Return each modality's own loss, a scalar."""
        b, m = present.shape
        each = cross_entropy(logits.flatten(0, 1), targets.repeat_interleave(m), ignore_index=-1, reduction="none")
        means = self.settings.own * (each.view(b, m) * present).mean(0)
        return {f"own, {name}": mean for name, mean in zip(names, means, strict=True)}


def log_of_mean(logs: Tensor, present: Tensor) -> Tensor:
    """Return the log of the mean probability (B, K) over the modalities there, from logs (B, M, K) and (B, M) bool.

    A row without any modality is uniform.

    Examples
    --------
    >>> logs = torch.tensor([[[0.2, 0.8], [0.6, 0.4]]]).log()
    >>> log_of_mean(logs, torch.tensor([[True, True]])).exp()
    tensor([[0.4000, 0.6000]])
    >>> log_of_mean(logs, torch.tensor([[False, True]])).exp()
    tensor([[0.6000, 0.4000]])
    """
    there = present | ~present.any(1, keepdim=True)
    logs = torch.where(present.any(1)[:, None, None], logs, -torch.log(torch.tensor(float(logs.shape[2]))))
    return logs.masked_fill(~there[:, :, None], float("-inf")).logsumexp(1) - there.sum(1, keepdim=True).log()
