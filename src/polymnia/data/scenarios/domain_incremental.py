"""`domain-incremental`: the same classes again, from another domain at each stage."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polymnia.data.scenario import Part, Scenario, register
from polymnia.data.source import Dataset
from polymnia.errors import DataError, unknown


@register("domain-incremental")
class DomainIncremental(Scenario):
    """One stage for each value of a column: a site, a speaker, a year, a sensor's model.

    Source: van de Ven, Tuytelaars, Tolias 2022, "Three types of incremental learning".
    """

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """Which column, and in which order its values come."""

        column: str = "domain"
        order: tuple[str, ...] = ()
        """Every value of the column; empty: drawn."""

    settings: Settings

    def parts(self, dataset: Dataset, split: NDArray[np.str_]) -> Sequence[Part]:
        """Return one part for each value; samples without one are left out."""
        columns, name = dataset.samples.columns, self.settings.column
        if name not in columns:
            raise DataError(f"stream.column: {unknown('column', name, columns)}")
        values = sorted(set(np.unique(columns[name]).tolist()) - {""})
        if not values:
            raise DataError(f"stream.column: column {name!r} is empty for every sample")
        return [
            Part(name=value, rows=np.flatnonzero(columns[name] == value), modalities=tuple(dataset.samples.values))
            for value in self.ordered(self.settings.order, values, what=name)
        ]
