"""A memory: encoded samples that were met before, which of them stay, and how they are drawn."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from polymnia.data.batch import Batch
from polymnia.errors import SettingsError, StateError
from polymnia.layers.projectors import masked_mean
from polymnia.memory.store import Store
from polymnia.randomness import Randomness
from polymnia.registry import Registry
from polymnia.state import Tree

BLOCK = 1024
"""Random numbers made at once."""

Features = Callable[[Batch], Tensor]
"""Batch → (B, D)."""


def pooled_values(batch: Batch) -> Tensor:
    """Return (B, D): the means over tokens of all modalities, side by side."""
    return torch.cat([masked_mean(batch.values[m], batch.valid.get(m)) for m in batch.modalities], 1)


class Memory(ABC):
    """Base of all memories: room for `capacity` samples; a policy decides in `add` which of them stay.

    What stays depends only on the seed and on the samples added, in their order, never on how often was drawn. With
    capacity 0 nothing is ever added and every draw is empty.

    Parameters
    ----------
    capacity : int
        Most samples it holds.
    randomness : Randomness
        The run's; draws take from its generator "memory".

    Raises
    ------
    SettingsError
        The capacity is negative.
    """

    name: ClassVar[str]
    online: ClassVar[bool] = True
    """Whether it takes batches as they come; if not, it wants all samples of a stage in one `add`."""
    compares: ClassVar[bool] = False
    """Whether its policy compares samples by their `features`."""

    def __init__(self, capacity: int, randomness: Randomness) -> None:
        if capacity < 0:
            raise SettingsError(f"a memory of {capacity} samples is asked for, and 0 or more is needed")
        self.capacity, self.randomness = capacity, randomness
        self.size = 0
        self.seen = 0
        """Samples offered so far."""
        self.features: Features = pooled_values
        """What a policy may compare samples by; a method sets it to the model's representations."""
        self.store = Store(capacity)
        self._block: tuple[int, NDArray[np.float64]] = (-1, np.empty(0))

    def __len__(self) -> int:
        return self.size

    @property
    def bytes(self) -> int:
        """Bytes of the samples it holds."""
        held = self.all()
        parts = [held.targets, *held.values.values(), *held.columns.values()]
        masks = [mask for mask in (*held.valid.values(), *held.present.values()) if mask is not None]
        return sum(part.numel() * part.element_size() for part in parts + masks)

    @abstractmethod
    def add(self, batch: Batch) -> None:
        """Offer the samples of a batch; the policy keeps some of them in place of others."""

    def draw(self, n: int) -> Batch:
        """Return n samples drawn uniformly without replacement; all of them, shuffled, when it holds fewer."""
        return self.take(self.choose(n))

    def choose(self, n: int) -> Tensor:
        """Return the slots (n,) of n different samples, each set of n as likely as any other."""
        generator, size = self.randomness.generator("memory"), self.size
        if size > 4096 and n * n < size:  # a whole permutation costs more than a few tries
            while True:
                slots = torch.randint(size, (n,), generator=generator)
                ordered = slots.sort().values
                if bool((ordered[1:] != ordered[:-1]).all()):
                    return slots
        return torch.randperm(size, generator=generator)[:n] if size and n else torch.empty(0, dtype=torch.int64)

    def take(self, slots: Tensor) -> Batch:
        """Return the samples at the given slots, in that order."""
        return self.store.take(slots)

    def all(self) -> Batch:
        """Return every sample it holds."""
        return self.take(torch.arange(self.size))

    def state_dict(self) -> dict[str, Tree]:
        """Return what it holds (only the filled part) and how much it has seen."""
        return {"size": self.size, "seen": self.seen, "store": self.store.state_dict(self.size)}

    def load_state_dict(self, state: dict[str, Tree]) -> None:
        """Put back what `state_dict` returned.

        Raises
        ------
        StateError
            It holds more samples than there is room for.
        """
        if state["size"] > self.capacity:
            raise StateError(f"the saved memory holds {state['size']} samples; this one has room for {self.capacity}")
        self.size, self.seen = state["size"], state["seen"]
        self.store.load_state_dict(state["store"])

    def _write(self, batch: Batch, rows: NDArray[np.int64], slots: NDArray[np.int64]) -> None:
        """Put some rows of a batch at slots."""
        device = batch.targets.device
        at = torch.from_numpy(rows).to(device)
        chosen = batch.map(lambda tensor: tensor.index_select(0, at))
        self.store.write(chosen, torch.from_numpy(slots).to(device))

    def _uniform(self, start: int, stop: int) -> NDArray[np.float64]:
        """Return one number in [0, 1) for each sample ever offered, from number `start` to before `stop`.

        They are made from the seed in blocks, so there is no position to save.
        """
        first, last = start // BLOCK, max(stop - 1, start) // BLOCK
        if self._block[0] != first or first != last:
            made = [
                torch.rand(BLOCK, generator=self.randomness.fresh("memory", block), dtype=torch.float64).numpy()
                for block in range(first, last + 1)
            ]
            self._block = (first if first == last else -1, np.concatenate(made))
        return self._block[1][start - first * BLOCK : stop - first * BLOCK]


MEMORIES: Registry[type[Memory]] = Registry("memory", "polymnia.memory")
register = MEMORIES.register
