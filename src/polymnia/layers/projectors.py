"""Projectors: from an encoder's width to the model's."""

from itertools import pairwise

import torch
from torch import Tensor, nn

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


def masked_mean(values: Tensor, valid: Tensor | None) -> Tensor:
    """Return the mean over valid tokens, (B, T, d) → (B, d); zero where there is none."""
    if values.shape[1] == 1 and valid is None:
        return values.squeeze(1)
    if valid is None:
        return values.mean(1)
    weights = valid.to(values.dtype)
    return torch.einsum("btd,bt->bd", values, weights) / weights.sum(1, keepdim=True).clamp(min=1)
