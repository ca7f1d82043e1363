"""`class-balanced`: as many samples of every class as there is room for, each class a uniform sample of its own."""

import numpy as np
import torch
from numpy.typing import NDArray

from polymnia.data.batch import Batch
from polymnia.memory.base import Memory, register
from polymnia.randomness import Randomness
from polymnia.state import Tree

Keys = NDArray[np.float64]
Labels = NDArray[np.int64]


@register("class-balanced")
class ClassBalanced(Memory):
    """Equal room for every class seen so far, whatever their shares in the stream.

    Each sample gets a random key in [0, 1) when it is offered; its rank is the number of samples of its class with
    a smaller key. The memory holds the `capacity` samples of the smallest (rank, key). So class sizes differ by at
    most one, except that a class with fewer samples leaves its room to others, and each class's samples are a
    uniform sample of all that were seen of it. A rank can only rise, so what was dropped would never come back, and
    one pass over the stream, in batches of any size, gives the same as looking at everything at once. Samples
    without a target (-1) count as one class.

    Source: the greedy balance is that of GDumb (Prabhu et al. 2020, alg. 1) and CBRS (Chrysakis and Moens 2020,
    alg. 1); uniform within a class as in the latter, here by smallest keys (bottom-k sampling, Cohen and Kaplan
    2007) because that needs no loop over samples.

    Examples
    --------
    >>> memory = ClassBalanced(4, Randomness(0))
    >>> memory.add(Batch({"text": torch.zeros(100, 1, 1)}, torch.tensor([0] * 97 + [1] * 3)))
    >>> memory.all().targets.sort().values
    tensor([0, 0, 1, 1])
    """

    def __init__(self, capacity: int, randomness: Randomness) -> None:
        super().__init__(capacity, randomness)
        self.keys: Keys = np.empty(0)
        self.groups: Labels = np.empty(0, dtype=np.int64)
        """The class of each sample held, counted from 1; 0 is for those without a target."""
        self.limits: Keys = np.empty(0)

    def add(self, batch: Batch) -> None:
        """Offer the samples of a batch."""
        if not self.capacity or not len(batch):
            return
        start, self.seen = self.seen, self.seen + len(batch)
        keys, groups = self._uniform(start, self.seen), batch.targets.cpu().numpy() + 1
        rows = self._may_enter(keys, groups)
        if not len(rows):
            return
        keys, groups = np.concatenate([self.keys, keys[rows]]), np.concatenate([self.groups, groups[rows]])
        kept = np.lexsort((keys, class_ranks(keys, groups)))[: self.capacity]
        entering = kept[kept >= self.size]
        free = np.ones(len(kept), dtype=bool)
        free[kept[kept < self.size]] = False  # rows of the batch take the slots of those they drive out, and new ones
        slots = free.nonzero()[0]
        self._write(batch, rows[entering - self.size], slots)
        keys[slots], groups[slots] = keys[entering], groups[entering]
        self.size = len(kept)
        self.keys, self.groups = keys[: self.size], groups[: self.size]
        self._set_limits()

    def _may_enter(self, keys: Keys, groups: Labels) -> Labels:
        """Return the rows whose key is below the limit of their class; a class not met yet has none."""
        if len(self.limits) <= groups.max():
            missing = int(groups.max()) + 1 - len(self.limits)
            self.limits = np.concatenate([self.limits, np.full(missing, np.inf)])
        return (keys < self.limits[groups]).nonzero()[0]

    def _set_limits(self) -> None:
        """Note for each class the key that a new sample must be below to enter.

        Let the largest classes hold n samples. One of them exchanges only against its own largest key; a class that
        holds n - 1 also against the largest key of rank n - 1; a smaller one takes any.
        """
        self.limits = np.full(len(self.limits), np.inf)
        if self.size < self.capacity:
            return
        counts = np.bincount(self.groups, minlength=len(self.limits))
        largest = np.full(len(counts), -1.0)
        np.maximum.at(largest, self.groups, self.keys)
        full, nearly = counts == counts.max(), counts == counts.max() - 1
        self.limits[full] = largest[full]
        self.limits[nearly] = np.maximum(largest[nearly], largest[full].max())

    def state_dict(self) -> dict[str, Tree]:
        """Return what it holds and the key of each sample."""
        return super().state_dict() | {"keys": torch.from_numpy(self.keys)}

    def load_state_dict(self, state: dict[str, Tree]) -> None:
        """Put back what `state_dict` returned."""
        super().load_state_dict(state)
        self.keys, self.groups = state["keys"].cpu().numpy(), self.all().targets.cpu().numpy() + 1
        self.limits = np.empty(int(self.groups.max(initial=-1)) + 1)
        self._set_limits()


def class_ranks(keys: Keys, groups: Labels) -> Labels:
    """Return (N,): how many samples of the same class have a smaller key.

    Examples
    --------
    >>> class_ranks(np.array([0.3, 0.1, 0.2]), np.array([7, 7, 1])).tolist()
    [1, 0, 0]
    """
    order = np.lexsort((keys, groups))
    grouped, at = groups[order], np.arange(len(groups))
    begins = np.ones(len(groups), dtype=bool)
    begins[1:] = grouped[1:] != grouped[:-1]
    ranks = np.empty_like(order)
    ranks[order] = at - np.maximum.accumulate(np.where(begins, at, 0))
    return ranks
