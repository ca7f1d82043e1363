"""`tasks`: from stage to stage both the modality and the kind of task may change."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polymnia.data.samples import Samples
from polymnia.data.scenario import Part, Scenario, register
from polymnia.data.source import Dataset
from polymnia.data.wording import TEMPLATES
from polymnia.errors import DataError, SettingsError, unknown

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

    The samples' column `task` says what is asked; a sample belongs to the stage of its task and of its modality. With
    `by`, a pair is parted further by the values of columns: `by: kind` makes "answering image colour" and "answering
    image shape" of questions about colours and shapes. A pair whose samples have nothing there stays one stage.

    Source: Pian et al. 2024 (modality-inconsistent continual learning), its orders 1 and 2.
    """

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """In which order the pairs come."""

        order: tuple[str | int, ...] = ()
        """Pairs such as "captioning image"; or 1 or 2 alone, the published orders; empty: all there are, drawn."""
        by: str | tuple[str, ...] = ()
        """Columns that part pairs further, such as kind, wording or source; pairs are "answering image colour" then."""

    settings: Settings

    def parts(self, dataset: Dataset, split: NDArray[np.str_]) -> Sequence[Part]:
        """Return one part for each pair, in the order."""
        pairs = self._pairs(dataset.samples)
        given = [str(name) for name in self.settings.order]
        order = PUBLISHED.get(given[0]) if len(given) == 1 else None
        names = self._some(order or given, sorted(pairs))
        return [pairs[name] for name in names]

    def _pairs(self, samples: Samples) -> dict[str, Part]:
        """Return what each stage may hold, by its name."""
        tasks = samples.columns.get("task")
        if tasks is None:
            raise DataError(
                f"scenario 'tasks' needs samples that say what is asked (a column 'task': {' or '.join(TEMPLATES)})"
            )
        parted = self._parted(samples)
        pairs: dict[str, Part] = {}
        for task in sorted(set(tasks.tolist()) & TEMPLATES.keys()):
            for m in samples.modalities:
                rows = np.flatnonzero((tasks == task) & samples.present[m].numpy())
                for ending in sorted(set(parted[rows].tolist())):
                    name = f"{task} {m} {ending}".rstrip()
                    pairs[name] = Part(name=name, rows=rows[parted[rows] == ending], modalities=(m,), task=task)
        return pairs

    def _parted(self, samples: Samples) -> NDArray[np.object_]:
        """Return (N,) what parts a sample from others of its pair; empty where nothing does."""
        by = self.settings.by
        columns = [by] if isinstance(by, str) and by else list(by)
        for name in columns:
            if name not in samples.columns:
                raise SettingsError(f"stream.by: {unknown('column', name, samples.columns)}")
        rows = zip(*(samples.columns[name].tolist() for name in columns), strict=True)
        endings = [" ".join(filter(None, row)) for row in rows] if columns else [""] * len(samples)
        return np.array(endings, dtype=object)

    def _some(self, given: Sequence[str], there: Sequence[str]) -> list[str]:
        """Return the given pairs, each once, or all in a drawn order."""
        if len(set(given)) < len(given):
            raise SettingsError(f"stream.order names a pair twice: {', '.join(given)}")
        if set(given) <= set(there):
            return list(given) or self.ordered((), there, what="pair")
        return self.ordered(given, there, what="pair")  # which says what is wrong
