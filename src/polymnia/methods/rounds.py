"""Samples that come round after round, each round in an order of its own: a set beside the stream of stages."""

import torch
from torch import Tensor

from polymnia.randomness import Randomness
from polymnia.state import Tree


class Rounds:
    """Which rows of a set come next; after the last a new round begins, and no row is left out.

    Parameters
    ----------
    randomness : Randomness
        The run's; a round's order depends on its seed, the name and the round's number alone.
    name : str
        Of the set.

    Examples
    --------
    >>> rounds = Rounds(Randomness(0), "pictures")
    >>> sorted(torch.cat([rounds.next(4, of=6), rounds.next(2, of=6)]).tolist())
    [0, 1, 2, 3, 4, 5]
    """

    def __init__(self, randomness: Randomness, name: str) -> None:
        self.randomness, self.name = randomness, name
        self.round, self.place = 0, 0

    def next(self, count: int, *, of: int) -> Tensor:
        """Return the next rows (count,) of a set of so many; it may be less than is asked for, and comes again then."""
        parts: list[Tensor] = []
        while count:
            part = self._order(of)[self.place : self.place + count]
            parts.append(part)
            count -= len(part)
            self.place += len(part)
            if self.place == of:
                self.round, self.place = self.round + 1, 0
        return torch.cat(parts) if parts else torch.zeros(0, dtype=torch.int64)

    def _order(self, of: int) -> Tensor:
        return torch.randperm(of, generator=self.randomness.fresh(self.name, self.round))

    def state_dict(self) -> dict[str, Tree]:
        """Return the round and how much of it has come."""
        return {"round": self.round, "place": self.place}

    def load_state_dict(self, state: dict[str, Tree]) -> None:
        """Put back what `state_dict` returned."""
        self.round, self.place = state["round"], state["place"]
