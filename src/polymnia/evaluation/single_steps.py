"""Single steps along the gradient of reading, each as long as is said: how drawing suffers, to which order."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from polymnia.data.batch import Batch
from polymnia.data.samples import Samples
from polymnia.evaluation.exact import in_double
from polymnia.evaluation.gradients import drawing_gradient, drawing_loss, layout, reading_gradient, undisturbed
from polymnia.methods.base import Method

ROUTES = ("output", "token")


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step, by one block of parameters.

    Parameters
    ----------
    route : str
        How the tokens of a picture's prompt count when it is drawn: see `route_image` of the family.
    block : str
        "all", or the part whose parameters were moved.
    rate : float
        η.
    change : float
        ΔL_v.
    first_order : float
        What ΔL_v would be to first order: −η ⟨g_t, g_v⟩ over the block.
    """

    route: str
    block: str
    rate: float
    change: float
    first_order: float


def single_steps(method: Method, batch: Batch, pictures: Samples, *, rates: Sequence[float]) -> list[Step]:
    """Return what single steps θ − η g_t change, for both routes, each block and each η; the model is left as it was.

    All is in float64. Where no parameter of a block is used in drawing, a change is exactly 0.

    Parameters
    ----------
    method : Method
        Over a model that draws.
    batch : Batch
        What is read: its gradient is g_t.
    pictures : Samples
        What is drawn: L_v is over them.
    rates : sequence of float
        The η.

    Source: Wei et al. 2025 (MoDE), its proposition and theorem, as single steps. The theorem bounds the change by
    O(η²) where drawing's gradient is 0; where the parameters are not used at all it is 0.
    """
    found: list[Step] = []
    for route in ROUTES:
        with undisturbed(method), routed(method.model, route), in_double(method.model):
            found += _along(method, batch, pictures, rates=rates, route=route)
    return found


def _along(method: Method, batch: Batch, pictures: Samples, *, rates: Sequence[float], route: str) -> list[Step]:
    held = layout(method.model)
    with _training(method):
        reading = reading_gradient(method, batch, held)
    drawing, before = drawing_gradient(method, pictures, held)
    products = [float((a * b).sum()) for a, b in zip(reading, drawing, strict=True)]
    weights = [p.data for p in held.parameters]
    found = []
    for block in ("all", *held.parts):
        moved = held.of(block)
        slope = -sum(product for product, moves in zip(products, moved, strict=True) if moves)
        for rate in rates:
            for p, weight, g, moves in zip(held.parameters, weights, reading, moved, strict=True):
                p.data = weight - rate * g if moves else weight
            change = drawing_loss(method, pictures) - before
            found.append(Step(route=route, block=block, rate=rate, change=change, first_order=rate * slope))
        for p, weight in zip(held.parameters, weights, strict=True):
            p.data = weight
    return found


def slope(steps: Sequence[Step]) -> float | None:
    """Return the slope of log |ΔL_v| on log η by least squares; None where a change is 0, or there is one η alone.

    Examples
    --------
    >>> steps = [Step(route="token", block="all", rate=η, change=3 * η**2, first_order=0.0) for η in (1e-3, 1e-2, 1e-1)]
    >>> round(slope(steps), 6)
    2.0
    """
    if len({step.rate for step in steps}) < 2 or not all(step.change for step in steps):
        return None
    logarithms = [np.log([abs(getattr(step, name)) for step in steps]) for name in ("rate", "change")]
    return float(np.polyfit(*logarithms, deg=1)[0])


@contextmanager
def routed(model: Any, route: str) -> Generator[None, None, None]:
    """Let a model route the tokens of drawing in one way inside the block."""
    before = model.settings
    model.settings = replace(before, route_image=route)
    try:
        yield
    finally:
        model.settings = before


@contextmanager
def _training(method: Method) -> Generator[None, None, None]:
    was_training = method.model.training
    method.model.train()
    try:
        yield
    finally:
        method.model.train(was_training)
