"""The upper layers of a frozen encoder, one at a time, for models that put something between them."""

from collections.abc import Callable
from typing import Any, Self

from torch import Tensor, nn


class Trunk(nn.Module):
    """What is left of an encoder above a cut; by itself: nothing, for an encoder without layers.

    Running all layers and `finish` over the tokens below the cut gives the encoder's own tokens.

    Attributes
    ----------
    depth : int
        Layers above the cut.
    ahead : int
        Of these, how many the encoder has done already: its tokens then hold the states before and after them.
    """

    depth: int = 0
    ahead: int = 0

    def parted(self, tokens: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the states at the cut (B, T, d) and, where the encoder has gone ahead, those after these layers."""
        if not self.ahead:
            return tokens, None
        before, after = tokens.chunk(2, -1)
        return before, after

    def layer(self, index: int, tokens: Tensor, valid: Tensor | None) -> Tensor:
        """Return what layer `index` (from 0, above the cut) makes of tokens (B, T, d); `valid` is (B, T) bool.

        Rows and invalid tokens have no influence on others. Tokens may be more than the encoder made, so that a
        model can put prompts before them.

        Raises
        ------
        IndexError
            There is no such layer; here there is none.
        """
        raise IndexError(f"{type(self).__name__} has {self.depth} layers; {index} is not among them")

    def finish(self, tokens: Tensor) -> Tensor:
        """Return tokens (B, T, d) as the encoder gives them out: its last normalisation, if it has one."""
        return tokens


class Frozen(nn.Module):
    """A network that never changes: in evaluation mode, shared by copies, and no part of any state.

    It moves with its owner from device to device. A saved model is therefore as large as what was learned.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self._held = (network.eval().requires_grad_(False),)  # in a tuple, torch does not take it for a part

    @property
    def network(self) -> Any:
        """The network."""
        return self._held[0]

    def forward(self, *given: Any, **named: Any) -> Any:
        """Return what the network makes of this."""
        return self.network(*given, **named)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self.network._apply(fn)
        return super()._apply(fn, recurse)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Frozen":
        return self
