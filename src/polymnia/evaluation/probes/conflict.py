"""`conflict`: whether what a stage learns works against drawing, step by step, and how much of the damage that is."""

from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from polymnia.data.batch import Batch
from polymnia.data.samples import Samples
from polymnia.data.stage import Stage, Stream
from polymnia.errors import SettingsError
from polymnia.evaluation.conflicts import COSINES, blocks, explained, means, path, recorded, series, sums, with_totals
from polymnia.evaluation.gradients import (
    Layout,
    drawing_gradient,
    drawing_loss,
    fixed_pictures,
    layout,
    reading_gradient,
    undisturbed,
)
from polymnia.evaluation.probes.base import Figures, Probe, register
from polymnia.methods.base import Method
from polymnia.state import Tree


@dataclass(frozen=True, kw_only=True)
class Before:
    """What was there before a step."""

    held: Layout
    weights: list[Tensor]
    reading: list[Tensor]
    drawing: list[Tensor]
    loss: float
    step: int


@register("conflict")
class Conflict(Probe):
    """Gradients of a stage's loss (g_t) and of drawing (g_v) at the steps of training, and the steps themselves (Δθ).

    g_t is of what the family minimises on the step's batch, without a method's own terms; g_v of the mean negative
    log-likelihood L_v of fixed pictures' codes given their prompts, in evaluation. Δθ is what a step has really done
    to the weights, whatever optimiser and method made of the gradients.

    Of each stage, over the steps measured: `cosine` of g_t and g_v (mean), `negative` (share of steps in conflict),
    `update cosine` of Δθ and g_v, `update rises` (share of steps where it is above 0), the mean norms `reading norm`
    of g_t, `drawing norm` of g_v and `update norm`, `first order` = Σ ⟨Δθ, g_v⟩; the same with `text`, `picture` and
    `shared` behind for the parameters that a delta says are used by these tokens. Then `actual` = Σ ΔL_v,
    `explained` = first order / actual, and `drawing loss` at the end; `steps` measured, and `seconds` for each of them.
    With `path` before it: `first order`, `actual` and `explained`, `cosine`, `negative`, `update cosine` and
    `update rises` of all stages so far, over all parameters. The series of all steps, also layer by layer, are in the
    stages' folders.

    Cosines are left out where a gradient is 0. The run is what it is without the probe, but for its time: two
    gradients and one loss more at each step measured. A stage's gradient is taken of its whole batch at once, also
    where the trainer accumulates. Empty for families that do not draw.

    Source: Wei et al. 2025 (MoDE), its definition of gradient conflict; sums along the path and the actual update in
    place of the gradient are ours, for near an optimum of drawing g_v is almost 0 and one cosine says little.
    """

    each = True
    watches = True
    state = ("stage", "steps", "layers", "parts", "losses", "seconds", "paths")

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """Which pictures, and how often."""

        pictures: Mapping[str, Any] | str
        """A source of pictures that are drawn (task generation): its name, or a mapping with its settings."""
        samples: int = 64
        """How many of its pictures, evenly spread over its test samples."""
        every: int = 1
        """Every so many steps of a stage one is measured, beginning with the first."""

        def __post_init__(self) -> None:
            for name in ("samples", "every"):
                if getattr(self, name) < 1:
                    raise SettingsError(f"conflict.{name}: {getattr(self, name)} is given, and at least 1 is needed")

    settings: Settings

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.stage = -1
        """The stage that the series are of."""
        self.steps: list[int] = []
        self.layers: list[str] = []
        self.parts: list[str] = []
        self.losses: list[list[float]] = []
        """L_v before and after each step measured."""
        self.sums: list[Tensor] = []
        self.seconds = 0.0
        self.paths: dict[str, dict[str, Any]] = {}
        """Stage → its figures "first order" and "actual", and its two series of cosines."""
        self._pictures: Samples | None = None
        self._before: Before | None = None
        self._kept: dict[str, Any] | None = None

    # while a stage is trained ---------------------------------------------------------------------------------

    def before_step(self, method: Method, batch: Batch) -> None:
        """Take both gradients, every so many steps."""
        self._before = None
        if self.stage != method.clock.stage:
            self.stage, self.steps, self.losses, self.sums, self.seconds = method.clock.stage, [], [], [], 0.0
        held = layout(method.model) if "drawing" in method.model.provides else None
        if held is None or not held.parameters or method.clock.step % self.settings.every:
            return
        with undisturbed(method):
            pictures = self.pictures(method)
            began = perf_counter()
            reading = reading_gradient(method, batch, held)
            drawing, loss = drawing_gradient(method, pictures, held)
        weights = [p.detach().clone() for p in held.parameters]
        self._before = Before(
            held=held, weights=weights, reading=reading, drawing=drawing, loss=loss, step=method.clock.step
        )
        self.seconds += perf_counter() - began

    def after_step(self, method: Method) -> None:
        """Compare what the step has done with the gradients."""
        before, self._before = self._before, None
        if before is None:
            return
        began = perf_counter()
        update = [p.detach() - old for p, old in zip(before.held.parameters, before.weights, strict=True)]
        self.layers, self.parts = before.held.layers, before.held.parts
        self.sums.append(sums(before.held, before.reading, before.drawing, update))
        with undisturbed(method):
            self.losses.append([before.loss, drawing_loss(method, self.pictures(method))])
        self.steps.append(before.step)
        self.seconds += perf_counter() - began

    def pictures(self, method: Method) -> Samples:
        """Return the pictures that are drawn, always the same."""
        if self._pictures is None:
            self._pictures = fixed_pictures(method.model, self.settings.pictures, self.settings.samples)
        return self._pictures

    # after it -------------------------------------------------------------------------------------------------

    def measure(self, method: Method, stream: Stream, stage: Stage) -> Figures:
        """Return the figures of the stage's steps, and of the path so far."""
        self._kept = None
        if stage.index != self.stage or not self.steps:
            return {}
        found = torch.stack(self.sums)
        whole = with_totals(found)[:, 0]
        figures: Figures = {}
        for block, place in blocks(self.parts).items():
            figures |= means(series(whole[:, place]), block)
        actual = sum(after - before for before, after in self.losses)
        steps = series(whole[:, 0])
        self.paths[str(stage.index)] = {"first order": figures["first order"], "actual": actual} | {
            name: steps[name] for name in COSINES
        }
        self._kept = {
            "steps": self.steps,
            "drawing loss": self.losses,
            **recorded(found, layers=self.layers, parts=self.parts),
        }
        return figures | {
            "actual": actual,
            "explained": explained(figures["first order"], actual),
            "drawing loss": self.losses[-1][1],
            **path(list(self.paths.values())),
            "steps": len(self.steps),
            "seconds": self.seconds / len(self.steps),
        }

    def record(self) -> Any:
        """Return the series of the stage's steps."""
        return self._kept

    def state_dict(self) -> dict[str, Tree]:
        """Return the series so far, and the sums of the stages before."""
        held = {name: getattr(self, name) for name in self.state}
        return held | {"sums": torch.stack(self.sums) if self.sums else torch.zeros(0)}

    def load_state_dict(self, state: dict[str, Tree]) -> None:
        """Put back what `state_dict` returned."""
        super().load_state_dict(state)
        self.sums = list(state["sums"])
