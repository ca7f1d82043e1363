"""`tasks`: from stage to stage both the modality and the kind of task may change."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polymnia.data.scenario import Part, Scenario, register
from polymnia.data.source import Dataset
from polymnia.data.wording import TEMPLATES
from polymnia.errors import DataError, SettingsError

PUBLISHED = {
    "1": ("captioning audio", "captioning image", "answering video", "answering audio", "answering image",
          "captioning video"),
    "2": ("captioning image", "captioning video", "answering video", "answering image", "captioning audio",
          "answering audio"),
}  # fmt: skip
"""The two orders of the MoInCL paper."""


@register("tasks")
class Tasks(Scenario):
    """One stage for each pair of a task and a modality: captioning of images, then answering about sounds.

    The samples' column `task` says what is asked; a sample belongs to the stage of its task and of its modality.

    Source: Pian et al. 2024 (modality-inconsistent continual learning), its orders 1 and 2.
    """

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """In which order the pairs come."""

        order: tuple[str | int, ...] = ()
        """Pairs such as "captioning image"; or 1 or 2 alone, the published orders; empty: all there are, drawn."""

    settings: Settings

    def parts(self, dataset: Dataset, split: NDArray[np.str_]) -> Sequence[Part]:
        """Return one part for each pair, in the order."""
        samples = dataset.samples
        tasks = samples.columns.get("task")
        if tasks is None:
            raise DataError(
                f"scenario 'tasks' needs samples that say what is asked (a column 'task': {' or '.join(TEMPLATES)})"
            )
        rows = {
            f"{task} {m}": np.flatnonzero((tasks == task) & samples.present[m].numpy())
            for task in sorted(set(tasks.tolist()) & TEMPLATES.keys())
            for m in samples.modalities
        }
        rows = {name: at for name, at in rows.items() if len(at)}
        given = [str(name) for name in self.settings.order]
        order = PUBLISHED.get(given[0]) if len(given) == 1 else None
        names = self._some(order or given, sorted(rows))
        pairs = [(name, *name.split(" ", 1)) for name in names]
        return [Part(name=name, rows=rows[name], modalities=(m,), task=task) for name, task, m in pairs]

    def _some(self, given: Sequence[str], there: Sequence[str]) -> list[str]:
        """Return the given pairs, each once, or all in a drawn order."""
        if len(set(given)) < len(given):
            raise SettingsError(f"stream.order names a pair twice: {', '.join(given)}")
        if set(given) <= set(there):
            return list(given) or self.ordered((), there, what="pair")
        return self.ordered(given, there, what="pair")  # which says what is wrong
