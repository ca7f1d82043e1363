"""What the methods that rehearse share: a memory, how much is drawn from it, and the features it may compare by."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize

from polymnia.data.batch import Batch
from polymnia.data.stage import Stage
from polymnia.errors import SettingsError
from polymnia.memory.base import MEMORIES
from polymnia.methods.base import Method
from polymnia.models.base import Model
from polymnia.randomness import Randomness

CHUNK = 256
"""Rows that go through the model at once outside of training."""


class Rehearsal(Method):
    """Base of methods that keep samples and train on them again."""

    state = ("memory",)
    policy: ClassVar[str] = "reservoir"
    """Which memory, where the settings do not say."""

    @dataclass(frozen=True, kw_only=True)
    class Settings(Method.Settings):
        """How many samples are kept, and how many come back."""

        memory: int = 200
        """Most samples kept, over all stages."""
        draw: int | None = None
        """Samples drawn with each batch; None: as many as the batch has."""

        def __post_init__(self) -> None:
            if self.draw is not None and self.draw < 1:
                raise SettingsError(f"method.draw: {self.draw} is given, and at least 1 is needed (or null)")

    settings: Any  # a subclass names its own

    def __init__(self, model: Model, settings: Any = None, *, randomness: Randomness | None = None) -> None:
        super().__init__(model, settings, randomness=randomness)
        policy = getattr(self.settings, "policy", self.policy)
        self.memory = MEMORIES.get(policy)(self.settings.memory, self.randomness)
        if "representations" in model.provides:
            self.memory.features = self.features
        elif self.memory.compares and "text" in model.provides:
            raise SettingsError(
                f"method.policy: {policy!r} compares samples by the model's representations, and {model.name!r} gives "
                "none. Take reservoir or class-balanced"
            )

    def drawn(self, batch: Batch) -> Batch:
        """Return what is replayed with a batch; it may be empty."""
        return self.memory.draw(self.amount(batch))

    def amount(self, batch: Batch) -> int:
        """Return how many samples are to be drawn with a batch."""
        return len(batch) if self.settings.draw is None else self.settings.draw

    def remember(self, batch: Batch) -> None:
        """Offer a batch to a memory that takes them as they come, in the stage's first epoch only.

        So each sample is offered once, and "every sample seen is held with the same probability" is true of
        samples rather than of visits.
        """
        if self.memory.online and self.clock.epoch == 0:
            self.memory.add(batch)

    def after_stage(self, stage: Stage) -> None:
        """Offer the whole stage to a memory that wants it at once."""
        if not self.memory.online and self.memory.capacity:
            self.memory.add(stage.train.batch(torch.arange(len(stage.train))).to(self.device))

    def features(self, batch: Batch) -> Tensor:
        """Return (B, D): joint representations in evaluation mode, scaled to length 1."""
        parts = [self.model.predict(batch.take(slice(at, at + CHUNK))) for at in range(0, len(batch), CHUNK)]
        return normalize(torch.cat([part.representations["joint"] for part in parts]).float(), dim=1)
