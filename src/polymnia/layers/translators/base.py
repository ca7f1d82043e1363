"""A translator: says what one modality's representation would be, from another's."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor, nn

from polymnia.errors import DataError, StateError
from polymnia.registry import NoSettings, Registry


class Translator(nn.Module, ABC):
    """Base of all translators; fitted once, then frozen. Vectors are (M, D) on both sides, or sequences (B, N, D)."""

    name: ClassVar[str]
    Settings: type[Any] = NoSettings
    fitted: Tensor

    def __init__(self, width: int, settings: Any = None) -> None:
        super().__init__()
        self.width = width
        self.settings = self.Settings() if settings is None else settings
        self.register_buffer("fitted", torch.zeros((), dtype=torch.bool))

    @abstractmethod
    def fit(self, source: Tensor, target: Tensor, *, seed: int) -> None:
        """Learn from pairs of vectors (M, D); what is drawn comes from the seed alone.

        Afterwards nothing of it trains. DataError says which pairs cannot be learned from.
        """

    @abstractmethod
    def forward(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean and the standard deviation, both (…, D), of what belongs to vectors (…, D).

        StateError says that it has not been fitted.
        """

    def sample(self, source: Tensor, *, generator: Generator) -> Tensor:
        """Return one draw (…, D) for each vector (…, D)."""
        mean, deviation = self(source)
        noise = torch.randn(mean.shape, generator=generator, dtype=mean.dtype).to(mean.device)
        drawn: Tensor = mean + deviation * noise
        return drawn

    def pairs(self, source: Tensor, target: Tensor, *, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Return what is to be learned from as (M, D) on both sides, without a gradient, or raise DataError."""
        for side, vectors in (("source", source), ("target", target)):
            if vectors.shape[-1:] != (self.width,) or vectors.shape != source.shape or not vectors.numel():
                given = f"{tuple(source.shape)} and {tuple(target.shape)}"
                raise DataError(f"{self.name}: pairs of {given} are given; (M, {self.width}) twice, M > 0, is accepted")
            if not bool(vectors.isfinite().all()):
                raise DataError(f"{self.name}: the {side} holds values that are not finite; leave those rows out")
        x, y = (v.detach().reshape(-1, self.width).to(self.fitted.device, dtype).clone() for v in (source, target))
        return x, y

    def ready(self) -> None:
        """Raise StateError unless it has been fitted."""
        if not bool(self.fitted):
            raise StateError(f"translator {self.name!r} has not been fitted; call fit(source, target, seed=…) first")


TRANSLATORS: Registry[type[Translator]] = Registry("translator", "polymnia.layers.translators")
register = TRANSLATORS.register
