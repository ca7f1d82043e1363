"""A tokeniser of a host that was taught in turns: what stands before and behind each prompt."""

from collections.abc import Sequence
from typing import Any

from polymnia.hosts.tokeniser import Tokeniser


class Turns(Tokeniser):
    """Puts ids before and behind each prompt; an answer follows as it does without.

    Parameters
    ----------
    held : Any
        A tokeniser of transformers.
    before, behind : sequence of int
        The ids; what begins a text stands before them.
    """

    def __init__(self, held: Any, *, before: Sequence[int] = (), behind: Sequence[int] = ()) -> None:
        super().__init__(held)
        self.before, self.behind = [*before], [*behind]

    @property
    def ahead(self) -> int:
        """How many ids stand before a prompt's own."""
        return len(self.begin) + len(self.before)

    def prompt(self, text: str, *, most: int = 512) -> list[int]:
        """Return the ids of a prompt as a host gets them; of one that is too long, its end."""
        return [*self.begin, *self.before, *self.ids(text)[-most:], *self.behind] or [self.end]
