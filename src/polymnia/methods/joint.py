"""`joint`: training on everything so far; the upper bound that forgetting is measured against."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from polymnia.data.samples import Column, Samples
from polymnia.data.stage import Stage
from polymnia.data.tokens import Tokens
from polymnia.methods.base import Method, Off, register


@register("joint")
class Joint(Method):
    """Train on the union of all stages so far: an upper bound, not a continual learner, for it keeps every sample.

    With `restart`, each stage begins from untrained weights (those that the seed gives a model of today's shape), so
    that its score depends on the union of samples and not on the order in which they came; without, it goes on.

    Source: the reference model of intransigence, Chaudhry et al. 2018, eq. 3.
    """

    looks_back = True
    off: ClassVar[Off] = "it trains on every stage's samples; with only the current stage's it would be fine-tuning"

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """Where a stage begins."""

        restart: bool = True

    settings: Settings
    _kept: int = 0

    def before_stage(self, stage: Stage) -> None:
        """Begin anew, if so set."""
        if self.settings.restart:
            fresh = self.model.blank()
            for outline in self.model.grown:
                fresh.grow(outline)
            self.model.load_state_dict(fresh.state_dict())

    def training_samples(self, stage: Stage) -> Samples:
        """Return the training samples of this stage and of all before it."""
        earlier = [before.train for before in stage.earlier]
        columns = [column for part in earlier for column in part.values.values() if isinstance(column, Tokens)]
        self._kept = sum(int(column.length.sum()) * column.width * 4 for column in columns)
        return union([*earlier, stage.train])

    def memory_bytes(self) -> int:
        """Return the bytes, in float32, of all earlier stages' samples, which a bounded memory could not hold."""
        return self._kept


def union(parts: list[Samples]) -> Samples:
    """Return the encoded samples of all parts, whichever modalities each has; what a part lacks is missing there."""
    widths = {m: c.width for part in parts for m, c in part.values.items() if isinstance(c, Tokens)}
    return Samples.concat([_filled(part, widths) for part in parts])


def _filled(samples: Samples, widths: Mapping[str, int]) -> Samples:
    """Return the samples with a column for every modality, in the same order."""
    none = torch.zeros(len(samples), dtype=torch.int64)
    values: dict[str, Column] = {
        m: samples.values[m] if m in samples.values else Tokens(torch.zeros(0, width), none, none)
        for m, width in sorted(widths.items())
    }
    present = {m: samples.present.get(m, none.bool()) for m in values}
    return replace(samples, values=values, present=present)
