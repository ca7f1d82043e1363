"""`herding`: exemplars whose mean is nearest the mean of their class, best first."""

import torch
from torch import Tensor

from polymnia.data.batch import Batch
from polymnia.memory.base import Memory, register
from polymnia.memory.store import Store
from polymnia.randomness import Randomness
from polymnia.state import Tree


@register("herding")
class Herding(Memory):
    """The same number of exemplars for every class, chosen to keep the class's mean.

    `add` wants all samples of a stage at once. Of C classes and capacity K the i-th class (from 0) may keep
    ⌈(K − i) / C⌉ exemplars (the paper's ⌊K / C⌋, with what division leaves given to the first classes). Exemplars are
    ordered, so that fewer are kept by dropping the last; a class that comes again is chosen anew from its exemplars
    and its new samples. Means are of what `features` returns, as it is: give unit vectors for iCaRL.

    Source: Rebuffi et al. 2017 (iCaRL), alg. 4 and 5.
    """

    online = False
    compares = True

    def __init__(self, capacity: int, randomness: Randomness) -> None:
        super().__init__(capacity, randomness)
        self.labels = torch.empty(0, dtype=torch.int64)
        self.ranks = torch.empty(0, dtype=torch.int64)

    def add(self, batch: Batch) -> None:
        """Offer all samples of a stage, choose exemplars of their classes, and make room in the others."""
        if not self.capacity or not len(batch):
            return
        self.seen += len(batch)
        new = batch.targets.cpu()
        classes = torch.cat([self.labels, new]).unique().tolist()
        coming, held = set(new.tolist()), self.all()
        old_rows: list[Tensor] = []
        new_rows: list[Tensor] = []
        ranks: list[list[Tensor]] = [[], []]
        for i, label in enumerate(classes):
            quota = -(-max(self.capacity - i, 0) // len(classes))
            mine, theirs = (self.labels == label).nonzero().flatten(), (new == label).nonzero().flatten()
            if label in coming:
                sides = [
                    side.take(at.to(batch.targets.device)) for side, at in ((held, mine), (batch, theirs)) if len(at)
                ]
                chosen = herd(torch.cat([self.features(side) for side in sides]), quota)
            else:
                chosen = self.ranks[mine].argsort()[:quota]
            rank, ours = torch.arange(len(chosen)), chosen < len(mine)
            old_rows.append(mine[chosen[ours]])
            new_rows.append(theirs[chosen[~ours] - len(mine)])
            ranks[0].append(rank[ours])
            ranks[1].append(rank[~ours])
        self._keep(held, torch.cat(old_rows), batch, torch.cat(new_rows))
        self.ranks = torch.cat([*ranks[0], *ranks[1]])

    def _keep(self, held: Batch, old: Tensor, batch: Batch, new: Tensor) -> None:
        """Hold the given rows of what was held and of the batch, and nothing else."""
        device = batch.targets.device
        self.store, self.size = Store(self.capacity), len(old) + len(new)
        for side, rows, start in ((held, old, 0), (batch, new, len(old))):
            if len(rows):
                self.store.write(side.take(rows.to(device)), torch.arange(start, start + len(rows), device=device))
        self.labels = self.all().targets.cpu()

    def state_dict(self) -> dict[str, Tree]:
        """Return what it holds and the rank of each exemplar in its class."""
        return super().state_dict() | {"ranks": self.ranks}

    def load_state_dict(self, state: dict[str, Tree]) -> None:
        """Put back what `state_dict` returned."""
        super().load_state_dict(state)
        self.ranks, self.labels = state["ranks"].cpu(), self.all().targets.cpu()


def herd(features: Tensor, m: int) -> Tensor:
    """Return the rows of m exemplars (all, when there are fewer), in order of choice.

    The k-th is the row that brings the mean of the first k nearest the mean of all; none is chosen twice.

    Parameters
    ----------
    features : Tensor
        (N, D).
    m : int
        How many.

    Examples
    --------
    >>> herd(torch.tensor([[0.0], [1.0], [2.0], [9.0]]), 2)  # mean 3: first 2 itself, then (2 + x) / 2 nearest 3
    tensor([2, 1])
    """
    squares, mean, total = features.square().sum(1), features.mean(0), torch.zeros_like(features[0])
    chosen = torch.empty(min(m, len(features)), dtype=torch.int64)
    for k in range(1, len(chosen) + 1):
        distances = squares / k - 2 * (features @ (mean - total / k))  # k · ‖mean − (total + row) / k‖² + constant
        best = distances.argmin()
        chosen[k - 1] = best
        total = total + features[best]
        squares[best] = float("inf")
    return chosen
