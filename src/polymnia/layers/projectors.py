"""Projectors: from an encoder's width to the model's."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, pad

from polymnia.registry import Registry

PROJECTORS: Registry[type[nn.Module]] = Registry("projector", "polymnia.layers")
register = PROJECTORS.register


@register("linear")
class LinearProjector(nn.Module):
    """A linear map (…, d) → (…, width); `hidden` is not used."""

    def __init__(self, d: int, width: int, *, hidden: tuple[int, ...] = (), dropout: float = 0.0) -> None:
        super().__init__()
        self.map = nn.Sequential(nn.Dropout(dropout), nn.Linear(d, width)) if dropout else nn.Linear(d, width)

    def forward(self, values: Tensor) -> Tensor:
        """Return (…, width)."""
        mapped: Tensor = self.map(values)
        return mapped


@register("mlp")
class MLPProjector(nn.Module):
    """Linear maps with ReLU after each: (…, d) → (…, hidden …) → (…, width)."""

    def __init__(self, d: int, width: int, *, hidden: tuple[int, ...] = (), dropout: float = 0.0) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for wide, next_wide in pairwise((d, *hidden, width)):
            layers += [nn.Linear(wide, next_wide), nn.ReLU()] + ([nn.Dropout(dropout)] if dropout else [])
        self.map = nn.Sequential(*layers)

    def forward(self, values: Tensor) -> Tensor:
        """Return (…, width)."""
        mapped: Tensor = self.map(values)
        return mapped


@register("normalised")
class NormalisedProjector(nn.Module):
    """Layer normalisation and a linear map: evens out encoders whose scales differ."""

    def __init__(self, d: int, width: int, *, hidden: tuple[int, ...] = (), dropout: float = 0.0) -> None:
        super().__init__()
        self.map = nn.Sequential(nn.LayerNorm(d), nn.Dropout(dropout), nn.Linear(d, width))

    def forward(self, values: Tensor) -> Tensor:
        """Return (…, width)."""
        mapped: Tensor = self.map(values)
        return mapped


@register("temporal")
class TemporalProjector(nn.Module):
    """A linear map, GELU, a residual convolution over steps, layer normalisation: (…, N, d) → (…, N, width).

    A step sees its two neighbours, and zeros beyond the ends; a vector (B, d) is a sequence of one step. `hidden` is
    not used.

    Source: comet.md §2.3, P_m (a reconstruction: the paper's projector is not known); GELU inside the residual [X].
    """

    def __init__(self, d: int, width: int, *, hidden: tuple[int, ...] = (), dropout: float = 0.0) -> None:
        super().__init__()
        self.map = nn.Linear(d, width)
        self.dropout = nn.Dropout(dropout)
        self.across = nn.Linear(3 * width, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, values: Tensor) -> Tensor:
        """Return (…, N, width), or (B, width) for vectors (B, d)."""
        sequence = values.unsqueeze(-2) if values.dim() == 2 else values
        h = self.dropout(gelu(self.map(sequence)))
        framed = pad(h, (0, 0, 1, 1))
        around = torch.cat([framed[..., :-2, :], h, framed[..., 2:, :]], -1)
        out: Tensor = self.norm(h + gelu(self.across(around)))
        return out.squeeze(-2) if values.dim() == 2 else out


def masked_mean(values: Tensor, valid: Tensor | None) -> Tensor:
    """Return the mean over valid tokens, (B, T, d) → (B, d); zero where there is none."""
    if values.shape[1] == 1 and valid is None:
        return values.squeeze(1)
    if valid is None:
        return values.mean(1)
    weights = valid.to(values.dtype)
    return torch.einsum("btd,bt->bd", values, weights) / weights.sum(1, keepdim=True).clamp(min=1)
