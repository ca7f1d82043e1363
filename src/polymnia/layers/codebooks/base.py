"""A codebook: codes shared by all modalities, learned by averages instead of by gradients."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Self

import torch
from torch import Tensor, nn

from polymnia.errors import DataError
from polymnia.registry import NoSettings, Registry


class Quantised(NamedTuple):
    """Vectors (…, D) as codes: the gradient passes straight through to what was quantised; and their ids (…)."""

    vectors: Tensor
    ids: Tensor


class Codebook(nn.Module, ABC):
    """Base of all codebooks.

    Codes are buffers: nothing is trained by the optimiser. How many there are may depend on data, so a codebook takes
    the number of rows of every buffer from the state that it loads. Rows of codes never move: a code keeps its id for
    life, and `quantise(…, first=n)` sees the n oldest only, as `sizes` has them for each stage. Codes stay in float32
    at least, whatever the model is cast to: averages move by hundredths, which half precision loses.

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

    @property
    @abstractmethod
    def sizes(self) -> dict[int, int]:
        """Stage → how many codes there were at its end; of the stage that is under way, how many there are."""

    @abstractmethod
    def begin(self, stage: int) -> None:
        """Make room for a stage: in the first, draw codes; later, old codes become an older generation."""

    @abstractmethod
    def quantise(self, vectors: Tensor, *, first: int | None = None) -> Quantised:
        """Return the nearest codes, by Euclidean distance, of vectors (…, D); `first`: among the n oldest."""

    def oldest(self, first: int | None) -> Tensor:
        """Return the n oldest codes (n, D); None: all. Raises DataError where there are not so many."""
        if first is not None and not 1 <= first <= len(self):
            raise DataError(
                f"the first {first} codes are asked for; there are {len(self)}: 1 to {len(self)} is accepted"
            )
        return self.codes[:first]

    @abstractmethod
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

    def grow(self, vectors: Tensor, *, seed: int = 0) -> int:
        """Add codes for vectors (M, D) that no code is near to, and return how many; the rule is the codebook's."""
        return 0

    def end(self, vectors: Tensor) -> None:
        """Measure what the next stage needs to know, on the mediator's vectors (M, D) of the stage that ends."""

    def _load_from_state_dict(  # ty: ignore[incompatible-method-override]
        self, state: Mapping[str, Any], prefix: str, *given: Any
    ) -> None:
        """Load, with as many rows of every buffer as the state has."""
        for name, buffer in self._buffers.items():
            saved = state.get(prefix + name)
            if buffer is not None and saved is not None and saved.shape[1:] == buffer.shape[1:]:
                self._buffers[name] = buffer.new_empty(saved.shape)
        super()._load_from_state_dict(state, prefix, *given)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move or cast, but not below float32."""
        before = dict(self._buffers)
        super()._apply(fn, recurse)
        for name, buffer in self._buffers.items():
            old = before[name]
            if buffer is not None and old is not None and buffer.is_floating_point() and buffer.itemsize < 4:
                self._buffers[name] = old.to(buffer.device)
        return self


CODEBOOKS: Registry[type[Codebook]] = Registry("codebook", "polymnia.layers.codebooks")
register = CODEBOOKS.register
