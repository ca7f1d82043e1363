"""A translator: says what one modality's representation would be, from another's."""

from typing import Any, ClassVar

import torch
from torch import Generator, Tensor, nn

from polymnia.registry import NoSettings, Registry


class Translator(nn.Module):
    """Base of all translators; fitted once, then frozen. Vectors are (M, D) on both sides, or sequences (B, N, D)."""

    name: ClassVar[str]
    Settings: type[Any] = NoSettings

    def __init__(self, width: int, settings: Any = None) -> None:
        super().__init__()
        self.width = width
        self.settings = self.Settings() if settings is None else settings

    def fit(self, source: Tensor, target: Tensor, *, seed: int) -> None:
        """Learn from pairs of vectors (M, D); what is drawn comes from the seed alone."""
        raise NotImplementedError

    def forward(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean and the standard deviation, both (…, D), of what belongs to vectors (…, D)."""
        raise NotImplementedError

    def sample(self, source: Tensor, *, generator: Generator) -> Tensor:
        """Return one draw (…, D) for each vector (…, D)."""
        mean, deviation = self(source)
        noise = torch.randn(mean.shape, generator=generator, dtype=mean.dtype).to(mean.device)
        drawn: Tensor = mean + deviation * noise
        return drawn


TRANSLATORS: Registry[type[Translator]] = Registry("translator", "polymnia.layers.translators")
register = TRANSLATORS.register
