"""`class-incremental`: each stage brings classes that were not there before."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polymnia.data.scenario import Part, Scenario, register
from polymnia.data.source import Dataset
from polymnia.errors import SettingsError


@register("class-incremental")
class ClassIncremental(Scenario):
    """Disjoint groups of classes, one group a stage, in a seeded or given order."""

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """Give the number of stages or the classes per stage; `order` names classes, else it is drawn."""

        stages: int | None = None
        classes_per_stage: int | None = None
        order: tuple[str, ...] = ()

    def parts(self, dataset: Dataset, split: NDArray[np.str_]) -> Sequence[Part]:
        """Return one part for each group of classes."""
        targets = dataset.samples.targets.numpy()
        trainable = np.unique(targets[(split == "train") & (targets >= 0)])
        order = self._given(dataset, trainable) if self.settings.order else self.random("order").permutation(trainable)
        names = tuple(dataset.samples.values)
        return [
            Part(
                name=f"{index + 1:02d}-" + "-".join(dataset.class_names[c] for c in group),
                rows=np.flatnonzero(np.isin(targets, group)),
                modalities=names,
            )
            for index, group in enumerate(self._groups(order))
        ]

    def _given(self, dataset: Dataset, trainable: NDArray[np.int64]) -> NDArray[np.int64]:
        number = {name: c for c, name in enumerate(dataset.class_names) if c in trainable}
        if sorted(self.settings.order) != sorted(number):
            raise SettingsError(f"order must name every class once: {', '.join(sorted(number))}")
        return np.array([number[name] for name in self.settings.order])

    def _groups(self, order: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        stages, per_stage = self.settings.stages, self.settings.classes_per_stage
        if (stages is None) == (per_stage is None):
            raise SettingsError("class-incremental takes either stages or classes_per_stage, and just one of them")
        count = stages if stages is not None else -(-len(order) // max(per_stage or 0, 1))
        if not 1 <= count <= len(order) or (per_stage is not None and per_stage < 1):
            raise SettingsError(f"{len(order)} classes cannot be cut into {count} stages of at least one class")
        if per_stage is not None:
            return [order[i : i + per_stage] for i in range(0, len(order), per_stage)]
        return np.array_split(order, count)
