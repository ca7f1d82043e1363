"""`modality-inconsistent`: from stage to stage both what is seen and what is asked may change."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from polymnia.data.scenario import Part, Rows, Scenario, register
from polymnia.data.scenarios.modality_incremental import subset
from polymnia.data.source import Dataset
from polymnia.errors import SettingsError

Cell = tuple[tuple[str, ...], int]
"""A set of modalities and the number of a group of classes."""


@register("modality-inconsistent")
class ModalityInconsistent(Scenario):
    """Stages with different modalities and different classes, in any combination.

    With `groups`, every group of classes comes once through every set of modalities, in a drawn order in which
    both change from one stage to the next wherever that is possible. With `stages`, every stage has classes of
    its own, and the sets of modalities take turns.

    Source: Pian et al. 2024, "Modality-Inconsistent Continual Learning of Multimodal Large Language Models",
    where a stage is a pair (modality, kind of task); here groups of classes stand for the kinds of task.
    """

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """Give the number of class groups (a grid) or the number of stages (classes once each)."""

        groups: int | None = None
        stages: int | None = None
        subsets: tuple[str, ...] = ()
        """Sets of modalities, joined by "+"; empty: every modality alone."""
        order: tuple[str, ...] = ()
        """Every class by name; empty: drawn."""

    settings: Settings

    def parts(self, dataset: Dataset, split: NDArray[np.str_]) -> Sequence[Part]:
        """Return the parts."""
        wanted, samples = self.settings, dataset.samples
        if (wanted.groups is None) == (wanted.stages is None):
            raise SettingsError("modality-inconsistent takes either groups or stages, and just one of them")
        sets = [subset(name, samples.values) for name in wanted.subsets or sorted(samples.values)]
        if len({frozenset(names) for names in sets}) < len(sets):
            raise SettingsError(f"stream.subsets names a set of modalities twice: {', '.join(wanted.subsets)}")
        classes = self.class_order(dataset, split, wanted.order)
        groups = self.share_out(classes, wanted.groups or wanted.stages or 0)
        if wanted.groups is not None:
            cells = self._shuffled(list(product(sets, range(len(groups)))))
        else:
            cells = [(sets[index % len(sets)], index) for index in range(len(groups))]
        return [self._part(dataset, names, groups[index]) for names, index in cells]

    def _part(self, dataset: Dataset, names: tuple[str, ...], group: Rows) -> Part:
        samples = dataset.samples
        rows = np.isin(samples.targets.numpy(), group) & np.any([samples.present[m].numpy() for m in names], axis=0)
        labels = "-".join(dataset.class_names[c] for c in group)
        return Part(name=f"{'+'.join(names)}-{labels}", rows=np.flatnonzero(rows), modalities=names)

    def _shuffled(self, cells: list[Cell]) -> list[Cell]:
        """Return the cells so that modalities and classes both change where possible, drawn among equals."""
        left = [cells[i] for i in self.random("grid").permutation(len(cells))]
        order: list[Cell] = []
        while left:
            last = order[-1] if order else None
            best = min(left, key=lambda cell: (_shared(cell, last), -sum(_shared(cell, other) for other in left)))
            order.append(best)  # among equals what is left most, else the last stages would be all of one kind
            left.remove(best)
        return order


def _shared(one: Cell, other: Cell | None) -> int:
    return 0 if other is None else (one[0] == other[0]) + (one[1] == other[1])
