"""`reservoir`: every sample seen so far is held with the same probability."""

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polymnia.data.batch import Batch
from polymnia.memory.base import BLOCK, Memory, register
from polymnia.randomness import Randomness

Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Entries:
    """Which samples of one block of numbers enter, and where."""

    block: int
    numbers: list[int]
    """Sorted numbers of the samples that enter."""
    rows: Numbers
    """The same as an array."""
    slots: Numbers
    until: Numbers
    """The number of the next sample of the block that takes the same slot; a very large one if there is none."""


@register("reservoir")
class Reservoir(Memory):
    """A uniform sample of all samples seen.

    Sample number j (from 0) takes slot j while there is room, and then slot ⌊u · (j + 1)⌋ if that is below the
    capacity. Which samples enter depends on their numbers alone, so it is worked out for many numbers at once, and
    a batch of which nothing enters costs two look-ups.

    Source: Vitter 1985, algorithm R.

    Examples
    --------
    >>> import torch
    >>> memory = Reservoir(2, Randomness(0))
    >>> memory.add(Batch({"text": torch.arange(6.0).reshape(6, 1, 1)}, torch.zeros(6, dtype=torch.int64)))
    >>> len(memory), memory.seen, len(memory.draw(5))
    (2, 6, 2)
    """

    def __init__(self, capacity: int, randomness: Randomness) -> None:
        super().__init__(capacity, randomness)
        self._entries: _Entries | None = None

    def add(self, batch: Batch) -> None:
        """Offer the samples of a batch, in their order."""
        if not self.capacity:
            return
        offset, end = self.seen, self.seen + len(batch)
        while self.seen < end:  # once for each block of numbers
            block = self.seen // BLOCK
            stop = min(end, (block + 1) * BLOCK)
            entries = self._decided(block)
            first, last = bisect_left(entries.numbers, self.seen), bisect_left(entries.numbers, stop)
            if first < last:
                stays = entries.until[first:last] >= stop  # of two that take one slot in this batch, the later
                rows, slots = entries.rows[first:last][stays] - offset, entries.slots[first:last][stays]
                self._write(batch, rows, slots)
            self.seen = stop
            self.size = min(self.capacity, self.seen)

    def _decided(self, block: int) -> _Entries:
        entries = self._entries
        if entries is None or entries.block != block:
            start = block * BLOCK
            numbers = np.arange(start, start + BLOCK)
            drawn = (self._uniform(start, start + BLOCK) * (numbers + 1)).astype(np.int64)
            slots = np.where(numbers < self.capacity, numbers, drawn)
            enters = slots < self.capacity
            numbers, slots = numbers[enters], slots[enters]
            self._entries = entries = _Entries(block, numbers.tolist(), numbers, slots, _next_in_same(numbers, slots))
        return entries


def _next_in_same(numbers: Numbers, slots: Numbers) -> Numbers:
    """Return (E,): for each entry the number of the next one into the same slot."""
    order = slots.argsort(kind="stable")
    until = np.full_like(numbers, np.iinfo(np.int64).max)
    same = slots[order[1:]] == slots[order[:-1]]
    until[order[:-1][same]] = numbers[order[1:][same]]
    return until
