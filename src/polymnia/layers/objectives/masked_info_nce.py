"""`masked-info-nce`: InfoNCE at steps and at clips, while a part of the steps is hidden."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from polymnia.errors import SettingsError
from polymnia.layers.objectives.base import Objective, register
from polymnia.layers.objectives.contrast import above, products, units
from polymnia.randomness import derive


@register("masked-info-nce")
class MaskedInfoNCE(Objective):
    """The mean of step-level and clip-level InfoNCE, both ways, on sequences of which training hides some steps.

    Of each row and modality ``round(share · N)`` drawn steps are hidden, at most N − 1: the mean of the clip's other
    steps stands there. So a hidden step has to be found by what the rest of its clip says, and the clip's mean is the
    mean of what is seen: replacing and leaving out are the same for it. Evaluation hides nothing, nor does N = 1.

    The draws come from `seed`, a counter that is a buffer, and the modality's name: they are the same in every process
    and after a resume, whichever modality is named first.

    Source: Huang et al. 2025 (MICU, arXiv 2507.14935), of which we know that both levels are contrasted and that about
    0.3 is masked. What stands in a hidden step's place, one share for all modalities, and equal weights are inferred.
    """

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """How sharp, how much is hidden, and from which seed."""

        temperature: float = 0.1
        share: float = 0.3
        """Of the steps, hidden in training."""
        seed: int = 0

        def __post_init__(self) -> None:
            above("temperature", self.temperature, 0)
            if not 0 <= self.share < 1:
                raise SettingsError(f"objective.share: {self.share} is given; from 0 to below 1 is accepted")

    settings: Settings
    count: Tensor

    def __init__(self, width: int, steps: int, settings: Settings | None = None) -> None:
        super().__init__(width, steps, settings)
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def between(self, one: str, a: Tensor, other: str, b: Tensor) -> Tensor:
        """Return a scalar, and draw other steps the next time if this is training."""
        loss = super().between(one, a, other, b)
        if self.training:
            self.count += 1
        return loss

    def compared(self, one: str, a: Tensor, other: str, b: Tensor) -> list[Tensor]:
        """Return scores of steps (N, B, B) and of clips (1, B, B), both ways."""
        a, b = self.partly(one, a), self.partly(other, b)
        step, clip = (products(units(a, level), units(b, level)) for level in ("step", "clip"))
        return [scores / self.settings.temperature for scores in (step, step.mT, clip, clip.mT)]

    def partly(self, modality: str, sequences: Tensor) -> Tensor:
        """Return sequences (B, N, D) as they are seen: in training with steps hidden."""
        if not self.training:
            return sequences
        seen = ~self.hidden(modality, len(sequences), sequences.shape[1])[..., None].to(sequences.device)  # (B, N, 1)
        mean = (sequences * seen).sum(1, keepdim=True) / seen.sum(1, keepdim=True)
        return torch.where(seen, sequences, mean)

    def hidden(self, modality: str, rows: int, steps: int) -> Tensor:
        """Return (rows, steps) bool: what the next training step hides of a modality."""
        number = min(round(self.settings.share * steps), steps - 1)
        drawn = Generator().manual_seed(derive(self.settings.seed, self.name, int(self.count), modality))
        return torch.rand(rows, steps, generator=drawn).argsort(1) < number
