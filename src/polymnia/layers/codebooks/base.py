"""A codebook: codes shared by all modalities, learned by averages instead of by gradients."""

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from polymnia.registry import NoSettings, Registry


class Quantised(NamedTuple):
    """Vectors (…, D) as codes: the gradient passes straight through to what was quantised; and their ids (…)."""

    vectors: Tensor
    ids: Tensor


class Codebook(nn.Module):
    """Base of all codebooks.

    Codes are buffers: nothing is trained by the optimiser. How many there are may depend on data, so a codebook takes
    the number of codes from the state that it loads. Rows of codes never move: a code keeps its id for life, and
    `quantise(…, first=n)` sees the n oldest only.

    Attributes
    ----------
    codes : Tensor
        (L, D).
    """

    name: ClassVar[str]
    Settings: type[Any] = NoSettings
    codes: Tensor

    def __init__(self, width: int, settings: Any = None) -> None:
        super().__init__()
        self.width = width
        self.settings = self.Settings() if settings is None else settings
        self.register_buffer("codes", torch.zeros(0, width))

    def __len__(self) -> int:
        return len(self.codes)

    def begin(self, stage: int) -> None:
        """Make room for a stage: in the first, draw codes; later, old codes become an older generation."""
        raise NotImplementedError

    def quantise(self, vectors: Tensor, *, first: int | None = None) -> Quantised:
        """Return the nearest codes, by Euclidean distance, of vectors (…, D)."""
        raise NotImplementedError

    def update(self, group: Sequence[Tensor], *, progress: float = 1.0, seed: int = 0) -> None:
        """Move codes by one batch.

        Parameters
        ----------
        group : sequence of Tensor
            The sequences (B, N, D) of modalities that say the same, aligned in rows and steps.
        progress : float
            The share of the stage's steps that are done.
        seed : int
            Of whatever is drawn.
        """
        raise NotImplementedError

    def grow(self, vectors: Tensor, *, seed: int = 0) -> int:
        """Add codes for vectors (M, D) that no code is near to, and return how many; the rule is the codebook's."""
        return 0

    def end(self, vectors: Tensor) -> None:
        """Measure what the next stage needs to know, on the mediator's vectors (M, D) of the stage that ends."""


CODEBOOKS: Registry[type[Codebook]] = Registry("codebook", "polymnia.layers.codebooks")
register = CODEBOOKS.register
