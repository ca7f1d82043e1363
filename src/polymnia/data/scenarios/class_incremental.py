"""`class-incremental`: each stage brings classes that were not there before."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polymnia.data.scenario import Part, Rows, Scenario, register
from polymnia.data.source import Dataset
from polymnia.errors import SettingsError


@register("class-incremental")
class ClassIncremental(Scenario):
    """Disjoint groups of classes, one group a stage, in a seeded or given order.

    Source: the usual setting; van de Ven, Tuytelaars, Tolias 2022, "Three types of incremental learning". With
    `evaluation.task_identity` the same stream is task-incremental.
    """

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """Give the number of stages or the classes per stage."""

        stages: int | None = None
        classes_per_stage: int | None = None
        order: tuple[str, ...] = ()
        """Every class by name; empty: drawn."""

    settings: Settings

    def parts(self, dataset: Dataset, split: NDArray[np.str_]) -> Sequence[Part]:
        """Return one part for each group of classes."""
        targets = dataset.samples.targets.numpy()
        return [
            Part(
                name="-".join(dataset.class_names[c] for c in group),
                rows=np.flatnonzero(np.isin(targets, group)),
                modalities=tuple(dataset.samples.values),
            )
            for group in self._groups(self.class_order(dataset, split, self.settings.order))
        ]

    def _groups(self, order: Rows) -> list[Rows]:
        stages, size = self.settings.stages, self.settings.classes_per_stage
        if (stages is None) == (size is None):
            raise SettingsError("class-incremental takes either stages or classes_per_stage, and just one of them")
        if stages is not None:
            return self.share_out(order, stages)
        if size is None or not 1 <= size <= len(order):
            raise SettingsError(f"stream.classes_per_stage: {size} is given; accepted: 1 to {len(order)}")
        return [order[i : i + size] for i in range(0, len(order), size)]
