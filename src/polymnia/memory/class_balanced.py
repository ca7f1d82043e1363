"""`class-balanced`: as many samples of every class as there is room for, each class a uniform sample of its own."""

import torch
from torch import Tensor

from polymnia.data.batch import Batch
from polymnia.memory.base import Memory, register
from polymnia.randomness import Randomness
from polymnia.state import Tree

NEVER = float("inf")


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
        self.keys = torch.empty(0, dtype=torch.float64)
        self.labels = torch.empty(0, dtype=torch.int64)
        self.limits = torch.empty(0, dtype=torch.float64)

    def add(self, batch: Batch) -> None:
        """Offer the samples of a batch."""
        if not self.capacity or not len(batch):
            return
        start, self.seen = self.seen, self.seen + len(batch)
        keys, labels = self._uniform(start, self.seen), batch.targets.cpu()
        if self.size == self.capacity and not self._may_enter(keys, labels):
            return
        every = torch.cat([self.keys, keys]), torch.cat([self.labels, labels])
        ranks = class_ranks(*every)
        by_key = every[0].argsort()
        kept = by_key[ranks[by_key].argsort(stable=True)[: self.capacity]]
        old, rows = kept[kept < self.size], kept[kept >= self.size] - self.size
        size = len(kept)
        free = torch.ones(size, dtype=torch.bool)
        free[old] = False  # rows of the batch take the slots of those they drive out, and new ones
        slots = free.nonzero().flatten()
        device = batch.targets.device
        self.store.write(batch.take(rows.to(device)), slots.to(device))
        self.size = size
        self.keys, self.labels = (
            _placed(column[: -len(batch)], slots, column[-len(batch) :][rows]) for column in every
        )
        self._set_limits()

    def _may_enter(self, keys: Tensor, labels: Tensor) -> bool:
        """Say whether any key (B,) is below its class's limit; classes not met yet have none."""
        known = labels + 1 < len(self.limits)
        limits = self.limits[torch.where(known, labels + 1, 0)]
        return bool(((keys < limits) | ~known).any())

    def _set_limits(self) -> None:
        """Note for each class the key that a new sample must be below to enter; `limits[c + 1]` is class c's.

        Let the largest classes hold n samples. One of them exchanges only against its own largest key; a class that
        holds n - 1 also against the largest key of rank n - 1; a smaller one takes any.
        """
        groups = self.labels + 1
        counts = groups.bincount()
        most = int(counts.max())
        largest = torch.full((len(counts),), -1.0, dtype=torch.float64).scatter_reduce(0, groups, self.keys, "amax")
        last = largest[counts == most].max()
        self.limits = torch.where(
            counts == most, largest, torch.where(counts == most - 1, largest.clamp(min=last), NEVER)
        )

    def state_dict(self) -> dict[str, Tree]:
        """Return what it holds and the key of each sample."""
        return super().state_dict() | {"keys": self.keys}

    def load_state_dict(self, state: dict[str, Tree]) -> None:
        """Put back what `state_dict` returned."""
        super().load_state_dict(state)
        self.keys, self.labels = state["keys"].cpu(), self.all().targets.cpu()
        if self.size:
            self._set_limits()


def class_ranks(keys: Tensor, labels: Tensor) -> Tensor:
    """Return (N,): how many samples of the same class have a smaller key.

    Examples
    --------
    >>> class_ranks(torch.tensor([0.3, 0.1, 0.2]), torch.tensor([7, 7, 1]))
    tensor([1, 0, 0])
    """
    order = keys.argsort()
    order = order[labels[order].argsort(stable=True)]
    grouped, at = labels[order], torch.arange(len(labels))
    begins = torch.ones_like(grouped, dtype=torch.bool)
    begins[1:] = grouped[1:] != grouped[:-1]
    ranks = torch.empty_like(order)
    ranks[order] = at - torch.where(begins, at, 0).cummax(0).values
    return ranks


def _placed(held: Tensor, slots: Tensor, new: Tensor) -> Tensor:
    """Return held entries with new ones written at `slots`, which may lie just past the end."""
    column = torch.cat([held, held.new_empty(max(0, int(slots.max()) + 1 - len(held)) if len(slots) else 0)])
    column[slots] = new
    return column
