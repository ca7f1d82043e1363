"""`given`: the stages that the data itself states."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polymnia.data.scenario import Part, Scenario, register
from polymnia.data.source import Dataset
from polymnia.errors import DataError


@register("given")
class Given(Scenario):
    """One stage for each value of the `stage` column, by number if all are numbers, else as they first appear."""

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """In which order the stages come."""

        order: tuple[str, ...] = ()
        """Every value of the `stage` column; empty: as above."""

    settings: Settings

    def parts(self, dataset: Dataset, split: NDArray[np.str_]) -> Sequence[Part]:
        """Return one part for each stage; samples without one are left out."""
        column = dataset.samples.columns.get("stage", np.array([], dtype=np.str_))
        stages = [value for value in dict.fromkeys(column.tolist()) if value]
        if not stages:
            raise DataError("scenario 'given' needs a column 'stage' that says to which stage each sample belongs")
        if all(value.isdecimal() for value in stages):
            stages.sort(key=int)
        order = self.ordered(self.settings.order, stages, what="stage") if self.settings.order else stages
        everything = tuple(dataset.samples.values)
        return [Part(name=value, rows=np.flatnonzero(column == value), modalities=everything) for value in order]
