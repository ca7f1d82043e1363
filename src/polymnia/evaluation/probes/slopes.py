"""`slopes`: how much drawing suffers from one step of reading, as the step grows, with tokens routed either way."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch

from polymnia.data.stage import Stage, Stream
from polymnia.data.wording import WRITTEN
from polymnia.errors import SettingsError
from polymnia.evaluation.gradients import fixed_pictures
from polymnia.evaluation.probes.base import Figures, Probe, register
from polymnia.evaluation.single_steps import single_steps, slope
from polymnia.methods.base import Method


@register("slopes")
class Slopes(Probe):
    """Single steps θ − η g_t from where the last stage ended, in float64, and the change of L_v that they make.

    g_t is the gradient on samples of the newest stage that is read, L_v the mean negative log-likelihood of fixed
    pictures' codes. For each block B (all, and the parts that the deltas tell) and route R (`output`: all of a drawn
    sequence counts as the picture's; `token`): `slope B R` of log |ΔL_v| on log η, None where nothing changes, and
    `change B R`, the largest |ΔL_v|. About 1 is damage to first order, 2 is to second. `steps` has every η.

    Empty for families that do not draw, and where nothing is read or trained.

    Source: Wei et al. 2025 (MoDE), its proposition and theorem.
    """

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """Which pictures, how many samples, and how long the steps are."""

        pictures: Mapping[str, Any] | str
        """A source of pictures that are drawn (task generation): its name, or a mapping with its settings."""
        samples: int = 32
        """How many are drawn, and how many are read."""
        rates: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 1e-1)
        """The η."""

        def __post_init__(self) -> None:
            if self.samples < 1:
                raise SettingsError(f"slopes.samples: {self.samples} is given, and at least 1 is needed")
            if len(set(self.rates)) < 2 or min(self.rates) <= 0:
                raise SettingsError(f"slopes.rates: {list(self.rates)} is given; two numbers above 0 are needed")

    settings: Settings

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def measure(self, method: Method, stream: Stream, stage: Stage) -> Figures:
        """Return the slopes and the steps."""
        read = [old for old in stream.stages[: stage.index + 1] if old.task in WRITTEN and len(old.train)]
        if "drawing" not in method.model.provides or not read or not method.model.trainable():
            return {}
        samples, s = read[-1].train, self.settings
        few = min(s.samples, len(samples))
        batch = samples.batch(torch.arange(few) * len(samples) // few).to(method.device)
        steps = single_steps(method, batch, fixed_pictures(method.model, s.pictures, s.samples), rates=s.rates)
        figures: Figures = {}
        for block, route in dict.fromkeys((step.block, step.route) for step in steps):
            own = [step for step in steps if (step.block, step.route) == (block, route)]
            figures[f"slope {block} {route}"] = slope(own)
            figures[f"change {block} {route}"] = max(abs(step.change) for step in own)
        return figures | {"steps": [asdict(step) for step in steps]}
