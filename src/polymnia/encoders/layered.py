"""Encoders that are transformers: cut below a layer, and run from there layer by layer."""

import hashlib
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from polymnia.data.modality import Array
from polymnia.encoders.base import Encoder
from polymnia.encoders.groups import by_shape
from polymnia.encoders.trunk import Trunk
from polymnia.errors import SettingsError

TOGETHER, CHUNK = 8, 512
"""States in one pass: of values that come one by one, and of a whole column."""


class Layered(Encoder):
    """An encoder whose states between layers can be had.

    A subclass says how deep it is (`depth`), gives states (`states`) and the layers themselves (`trunk`).
    """

    @abstractmethod
    def states(self, values: Sequence[Array | str], layer: int | None) -> list[Tensor]:
        """Return for each value its final tokens (T_i, d), or its states before a layer where one is given.

        Raises
        ------
        DataError
            A value cannot be encoded.
        """

    @abstractmethod
    def trunk(self, layer: int) -> Trunk:
        """Return the layers from `layer` on, over the network that this encoder has loaded."""

    def states_dense(self, values: Array, layer: int | None) -> Tensor | None:
        """Return tokens or states (N, T, d) of a whole column of ready arrays, or None to get the values one by one."""
        return None

    def encode(self, values: Sequence[Array | str]) -> list[Tensor]:
        """Return tokens (T_i, d) of values."""
        return self.states(values, None)

    def encode_dense(self, values: Array) -> Tensor | None:
        """Return tokens (N, T, d) of a whole column of ready arrays (N, ...), where the encoder takes them so."""
        return self.states_dense(values, None)

    def cut(self, layer: int, *, ahead: int = 0) -> tuple[Encoder, Trunk]:
        """Return an encoder of the states before a layer (0: of the embeddings), and the layers from there on.

        At `depth` the states are those after the last layer and before the last normalisation. With `ahead` the tokens
        are (T, 2 d): those states, and what the next so many layers make of them.

        Raises
        ------
        SettingsError
            There is no such layer.
        """
        if not self.depth:
            return super().cut(layer, ahead=ahead)
        if not (layer >= 0 and ahead >= 0 and layer + ahead <= self.depth):
            raise SettingsError(
                f"encoder {self.name!r} can be cut before layer 0 to {self.depth}; {layer + ahead} is given"
            )
        trunk = self.trunk(layer)
        trunk.ahead = ahead
        return Below(self, layer, trunk), trunk


class Below(Encoder):
    """What lies below a cut: an encoder like the whole one, whose tokens are the states before a layer.

    It has the whole one's name and settings, and a fingerprint of its own, so that the cache keeps the two apart.
    """

    kind = "any"

    def __init__(self, whole: Layered, layer: int, trunk: Trunk) -> None:
        super().__init__(whole.settings)
        self.whole, self.layer, self.trunk = whole, layer, trunk
        self.name, self.kind, self.card = whole.name, whole.kind, whole.card  # ty: ignore[invalid-attribute-access]
        self.pooling, self.cached = whole.pooling, whole.cached  # ty: ignore[invalid-attribute-access]
        self.batch_size = whole.batch_size  # ty: ignore[invalid-attribute-access]

    @property
    def width(self) -> int:
        """The width of the states, twice if there are two."""
        return self.whole.width * (2 if self.trunk.ahead else 1)

    @property
    def fingerprint(self) -> str:
        """Digest of the whole encoder's and of where it is cut."""
        ahead = f" and {self.trunk.ahead} ahead" if self.trunk.ahead else ""
        return hashlib.sha256(f"{self.whole.fingerprint} before layer {self.layer}{ahead}".encode()).hexdigest()[:32]

    def reads(self, kind: str) -> bool:
        """Return whether the whole encoder takes values of this kind of signal."""
        return self.whole.reads(kind)

    def encode(self, values: Sequence[Array | str]) -> list[Tensor]:
        """Return the states (T_i, d) of values before the layer, or (T_i, 2 d)."""
        states = self.whole.states(values, self.layer)
        return by_shape([{"states": one} for one in states], self._both, size=TOGETHER) if self.trunk.ahead else states

    def encode_dense(self, values: Array) -> Tensor | None:
        """Return the states (N, T, d) of a whole column before the layer, where the whole encoder takes columns."""
        states = self.whole.states_dense(values, self.layer)
        return None if states is None else torch.cat([self._both(part) for part in states.split(CHUNK)])

    @torch.no_grad()
    def _both(self, states: Tensor) -> Tensor:
        after = states
        for index in range(self.trunk.ahead):
            after = self.trunk.layer(index, after, None)
        return torch.cat([states, after], -1) if self.trunk.ahead else states


def additive(seen: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """Return what is added to attention's scores so that only what is `seen` (bool) counts."""
    return None if seen is None else torch.zeros_like(seen, dtype=dtype).masked_fill(~seen, torch.finfo(dtype).min)


def seen_by(tokens: Tensor, valid: Tensor | None, *, causal: bool = False) -> Tensor | None:
    """Return which tokens each token sees, bool (B, 1, 1 or T, T), or None where all see all.

    A row without any valid token sees all of its own: nobody looks at the result, and it stays finite.

    Examples
    --------
    >>> seen_by(torch.zeros(1, 2, 4), torch.tensor([[True, False]])).tolist()
    [[[[True, False]]]]
    >>> seen_by(torch.zeros(1, 2, 4), None, causal=True).tolist()
    [[[[True, False], [True, True]]]]
    """
    length = tokens.shape[1]
    whole = valid is None or bool(valid.all())
    seen: Tensor | None = None
    if not whole:
        seen = (valid | ~valid.any(1, keepdim=True))[:, None, None]
    if causal:
        earlier = torch.ones(length, length, dtype=torch.bool, device=tokens.device).tril()[None, None]
        itself = torch.eye(length, dtype=torch.bool, device=tokens.device)
        seen = earlier if seen is None else (earlier & seen) | itself
    return seen


def unpadded(layer: Any, tokens: Tensor, valid: Tensor | None) -> Tensor:
    """Return what a layer that knows no mask makes of tokens (B, T, d): rows of equal length go together, unpadded."""
    if valid is None or bool(valid.all()):
        return layer(tokens)
    made = tokens.clone()
    counts = valid.sum(1)
    for count in counts.unique().tolist():
        if not count:
            continue
        rows = (counts == count).nonzero().flatten()
        places = valid[rows].nonzero()[:, 1].view(len(rows), count)
        made[rows[:, None], places] = layer(tokens[rows[:, None], places]).to(made.dtype)
    return made
