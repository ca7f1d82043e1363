"""Named random generators from one seed, so that one part's draws never shift another's."""

import hashlib
from collections.abc import Generator
from contextlib import contextmanager

import torch
from torch import Tensor


def derive(seed: int, *names: object) -> int:
    """Return a seed of 63 bits that depends on `seed` and on every name, and on nothing else.

    Examples
    --------
    >>> derive(0, "order", 1) == derive(0, "order", 1), derive(0, "order", 1) == derive(0, "order", 2)
    (True, False)
    """
    text = "\x1f".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


@contextmanager
def drawing_from(seed: int, *names: object) -> Generator[None, None, None]:
    """Let torch's global generator draw from a derived seed inside the block, and put it back after."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, *names))
        yield


class Randomness:
    """The generators of one run.

    Two kinds: `fresh(...)` is rebuilt from its names each time (data order of epoch 3 of stage 2), so there
    is nothing to save; `generator(name)` goes on from draw to draw, and its position is in `state_dict`.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._running: dict[str, torch.Generator] = {}

    def fresh(self, *names: object) -> torch.Generator:
        """Return a new generator that depends only on the run's seed and these names."""
        return torch.Generator().manual_seed(derive(self.seed, *names))

    def generator(self, name: str) -> torch.Generator:
        """Return the run's one generator of that name."""
        if name not in self._running:
            self._running[name] = self.fresh("running", name)
        return self._running[name]

    def state_dict(self) -> dict[str, Tensor]:
        """Return the position of every running generator and of torch's global one."""
        state = {name: generator.get_state() for name, generator in self._running.items()}
        return state | {"": torch.get_rng_state()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Put every running generator, and torch's global one, back where it was."""
        self._running.clear()
        for name, position in state.items():
            if name:
                self.generator(name).set_state(position)
            else:
                torch.set_rng_state(position)
