"""What gradients of reading and of drawing say of each other: cosines, norms and sums along the path of training."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from polymnia.evaluation.gradients import PARTS, Layout
from polymnia.evaluation.probes.base import Figures

SUMS = ("reading²", "drawing²", "update²", "reading · drawing", "update · drawing")
"""What is summed of a step for each layer and part."""
COSINES = ("cosine", "update cosine")
Series = dict[str, list[float | None]]


def sums(held: Layout, reading: Sequence[Tensor], drawing: Sequence[Tensor], update: Sequence[Tensor]) -> Tensor:
    """Return (L, 3, 5): `SUMS` of one step, by layer and part."""
    pairs = [(reading, reading), (drawing, drawing), (update, update), (reading, drawing), (update, drawing)]
    return torch.stack([held.inner(*pair) for pair in pairs], -1)


def with_totals(found: Tensor) -> Tensor:
    """Return (S, 1 + L, 1 + 3, 5) of (S, L, 3, 5): all layers before each layer, all parts before each part."""
    parts = torch.cat([found.sum(2, keepdim=True), found], 2)
    return torch.cat([parts.sum(1, keepdim=True), parts], 1)


def series(found: Tensor) -> Series:
    """Return what sums (S, 5) say of every step; None where a gradient is 0.

    Examples
    --------
    >>> found = series(torch.tensor([[4.0, 1.0, 0.04, -1.0, 0.1]]))
    >>> [(name, round(values[0], 3)) for name, values in found.items()]  # doctest: +NORMALIZE_WHITESPACE
    [('cosine', -0.5), ('update cosine', 0.5), ('reading norm', 2.0), ('drawing norm', 1.0), ('update norm', 0.2),
     ('first order', 0.1)]
    """
    tt, vv, uu, tv, uv = found.double().unbind(-1)
    lines = {
        "cosine": tv / (tt.sqrt() * vv.sqrt()),
        "update cosine": uv / (uu.sqrt() * vv.sqrt()),
        "reading norm": tt.sqrt(),
        "drawing norm": vv.sqrt(),
        "update norm": uu.sqrt(),
        "first order": uv,
    }
    return {name: [_short(value) for value in line.tolist()] for name, line in lines.items()}


def means(found: Series, block: str) -> Figures:
    """Return the figures of a block over all steps measured; None where there is nothing to go by."""
    figures: Figures = {
        **_signs(*(found[name] for name in COSINES)),
        **{name: _mean(found[name]) for name in ("reading norm", "drawing norm", "update norm")},
        "first order": sum(value for value in found["first order"] if value is not None),
    }
    return {name if block == "all" else f"{name} {block}": value for name, value in figures.items()}


def path(stages: Sequence[Mapping[str, Any]]) -> Figures:
    """Return the figures of a path through stages, each with its "first order", its "actual" and its `COSINES`."""
    first_order, actual = (sum(stage[name] for stage in stages) for name in ("first order", "actual"))
    figures = _signs(*([value for stage in stages for value in stage[name]] for name in COSINES))
    figures |= {"first order": first_order, "actual": actual, "explained": explained(first_order, actual)}
    return {f"path {name}": value for name, value in figures.items()}


def blocks(parts: Sequence[str]) -> dict[str, int]:
    """Return "all" and parts with their places in `with_totals`."""
    return {"all": 0} | {part: 1 + PARTS.index(part) for part in parts}


def explained(first_order: float, actual: float) -> float | None:
    """Return the share of an actual change that its first order explains; None where nothing changed."""
    return first_order / actual if actual else None


def recorded(found: Tensor, *, layers: Sequence[str], parts: Sequence[str]) -> dict[str, Any]:
    """Return the series of sums (S, L, 3, 5) as JSON: of each block, over all layers and layer by layer."""
    whole, places = with_totals(found), blocks(parts)
    by_layer = {
        layer: {block: series(whole[:, row, place]) for block, place in places.items()}
        for row, layer in enumerate(["all layers", *layers])
    }
    return {"series": by_layer.pop("all layers"), "layers": by_layer}


def _signs(cosines: Sequence[float | None], updates: Sequence[float | None]) -> Figures:
    """Return the means of cosines of gradients and of updates, and how often they say that reading harms drawing."""
    return {
        "cosine": _mean(cosines),
        "negative": _mean([float(value < 0) for value in cosines if value is not None]),
        "update cosine": _mean(updates),
        "update rises": _mean([float(value > 0) for value in updates if value is not None]),
    }


def _mean(values: Sequence[float | None]) -> float | None:
    held = [value for value in values if value is not None]
    return sum(held) / len(held) if held else None


def _short(value: float) -> float | None:
    """Return a number in as many digits as are worth keeping; None for what is none."""
    return float(f"{value:.9g}") if abs(value) < float("inf") else None
