"""`random-transformer`: a frozen transformer that has learned nothing, for controlled experiments."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import torch
from torch import Tensor, nn

from polymnia.data.modality import Array
from polymnia.data.stage import Card
from polymnia.encoders.base import register
from polymnia.encoders.groups import by_shape
from polymnia.encoders.layered import Layered, seen_by
from polymnia.encoders.trunk import Frozen, Trunk
from polymnia.encoders.weights import fingerprint
from polymnia.errors import DataError, SettingsError
from polymnia.randomness import derive

CHUNK = 512
"""Rows of a whole column that go through the network together."""
TOGETHER = 8
"""The same, of values that come one by one."""


@register("random-transformer")
class RandomTransformer(Layered):
    """Arrays (T, d_in), or (d_in,) as one token, → tokens (T, width) of a frozen transformer with random weights.

    What it gives out holds what it was given, mixed over tokens, and nothing that was learned anywhere. So an
    experiment over it shows what adapters, losses and memories do, in seconds and without a download; it says nothing
    of how good they are over networks that know something. A fixed random projection takes d_in to `width`,
    sinusoidal positions are added, and pre-normalised layers (attention, then a GELU network of 4 · width) follow.

    All weights are drawn from `seed` and the names of the parts: equal settings give equal weights, whatever
    else draws, and a projection for another d_in does not change the layers.

    Source of the layers: Vaswani et al. 2017, section 3; normalisation first as in Xiong et al. 2020.
    """

    kind = "table"
    cached = False  # its settings are all there is to it, and it is as quick as reading
    card = Card(
        title="A transformer with random weights",
        licence="none needed",
        citation="A. Vaswani et al. (2017). Attention is all you need. NeurIPS.",
    )

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """Its size and its seed."""

        width: int = 32
        """Of one token; a multiple of `heads`, and even."""
        layers: int = 3
        """How many layers; 0 leaves projection and positions."""
        heads: int = 4
        """Of attention."""
        seed: int = 0
        """What all weights are drawn from; two modalities of one experiment want two seeds."""

        def __post_init__(self) -> None:
            if self.heads < 1 or self.width < 2 or self.width % self.heads or self.width % 2:
                given = f"{self.width} with {self.heads} heads"
                raise SettingsError(f"width: {given} is given, and an even multiple of the number of heads is accepted")
            if self.layers < 0:
                raise SettingsError(f"layers: {self.layers} is given, and 0 or more are accepted")

    @property
    def width(self) -> int:
        """As the settings say."""
        return self.settings.width

    @property
    def depth(self) -> int:
        """As the settings say."""
        return self.settings.layers

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the settings, which the weights are drawn from."""
        s = self.settings
        return fingerprint(self.name, {"version": 1, "width": s.width, "layers": s.layers, "heads": s.heads,
                                       "seed": s.seed}, [])  # fmt: skip

    def reads(self, kind: str) -> bool:
        """Return True: what counts is that the values are numbers of a fitting shape."""
        return True

    @torch.no_grad()
    def states_dense(self, values: Array, layer: int | None) -> Tensor | None:
        """Return tokens (N, T, width), or states before a layer, of a column (N, d_in) or (N, T, d_in)."""
        if not np.issubdtype(values.dtype, np.number) or values.ndim not in (2, 3):
            return None
        with np.errstate(over="ignore"):  # beyond float32 it becomes infinite, and the caller looks for that
            tokens = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
        tokens = tokens.unsqueeze(1) if tokens.ndim == 2 else tokens
        return torch.cat([self._run(layer, values=part) for part in tokens.split(CHUNK)])

    @torch.no_grad()
    def states(self, values: Sequence[Array | str], layer: int | None) -> list[Tensor]:
        """Return tokens (T_i, width) of arrays, or their states before a layer."""
        return by_shape(
            [{"values": self._checked(value)} for value in values], partial(self._run, layer), size=TOGETHER
        )

    def trunk(self, layer: int) -> Trunk:
        """Return the layers from `layer` on."""
        return _RandomTrunk(self._network, layer)

    def _checked(self, value: Array | str) -> Tensor:
        if isinstance(value, str) or not np.issubdtype(value.dtype, np.number) or value.ndim not in (1, 2):
            given = "a text" if isinstance(value, str) else f"{value.dtype} of shape {value.shape}"
            raise DataError(f"encoder {self.name!r} takes numbers of shape (d,) or (T, d), not {given}")
        return torch.atleast_2d(torch.from_numpy(np.ascontiguousarray(value, dtype=np.float32)))

    def _run(self, layer: int | None, /, values: Tensor) -> Tensor:
        place = next(self._network.parameters()).device
        states = (values @ self._projection(values.shape[-1])).to(place)
        states = states + positions(values.shape[1], self.width).to(place)
        trunk = self.trunk(0)
        for index in range(self.depth if layer is None else layer):
            states = trunk.layer(index, states, None)
        return (trunk.finish(states) if layer is None else states).cpu()

    def _projection(self, width: int) -> Tensor:
        generator = torch.Generator().manual_seed(derive(self.settings.seed, self.name, "projection", width))
        return torch.randn(width, self.width, generator=generator) / math.sqrt(width)

    @cached_property
    def _network(self) -> "_Network":
        s = self.settings
        with torch.inference_mode(False):
            return _Network(width=s.width, layers=s.layers, heads=s.heads, seed=s.seed)


def positions(length: int, width: int) -> Tensor:
    """Return sinusoidal positions (length, width), sines before cosines; Vaswani et al. 2017, section 3.5.

    Examples
    --------
    >>> positions(2, 4)[0].tolist()
    [0.0, 0.0, 1.0, 1.0]
    """
    rates = torch.exp(torch.arange(width // 2) * (-math.log(10_000) / (width // 2)))
    angles = torch.arange(length)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], 1)


class _Network(nn.Module):
    def __init__(self, *, width: int, layers: int, heads: int, seed: int) -> None:
        super().__init__()
        self.heads = heads
        self.layers = nn.ModuleList(_Layer(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                generator = torch.Generator().manual_seed(derive(seed, RandomTransformer.name, name))
                # variance 1 / fan-in keeps the size of what passes; biases stay 0 and gains 1
                weight.data = torch.randn(weight.shape, generator=generator) / math.sqrt(weight.shape[1])


class _Layer(nn.Module):
    """X + attention(norm X), then X + network(norm X)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_inner = nn.LayerNorm(width), nn.LayerNorm(width)
        self.joint, self.out = _blank(width, 3 * width), _blank(width, width)
        self.inner, self.outer = _blank(width, 4 * width), _blank(4 * width, width)

    def forward(self, states: Tensor, mask: Tensor | None) -> Tensor:
        rows, length, width = states.shape
        joint = self.joint(self.before_attention(states)).view(rows, length, 3, self.heads, width // self.heads)
        query, key, value = joint.permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        states = states + self.out(mixed.transpose(1, 2).reshape(rows, length, width))
        return states + self.outer(nn.functional.gelu(self.inner(self.before_inner(states))))


def _blank(width: int, out: int) -> nn.Linear:
    """Return a linear map of zeros: torch's own would draw from the global generator."""
    made = nn.utils.skip_init(nn.Linear, width, out)
    made.weight.data.zero_()
    made.bias.data.zero_()
    return made


class _RandomTrunk(Trunk):
    def __init__(self, network: _Network, first: int) -> None:
        super().__init__()
        self.frozen, self.first, self.depth = Frozen(network), first, len(network.layers) - first

    def layer(self, index: int, tokens: Tensor, valid: Tensor | None) -> Tensor:
        if not 0 <= index < self.depth:
            return super().layer(index, tokens, valid)
        return self.frozen.network.layers[self.first + index](tokens, seen_by(tokens, valid))

    def finish(self, tokens: Tensor) -> Tensor:
        return self.frozen.network.norm(tokens)
