"""`single`: everything at once, in one stage."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from polymnia.data.scenario import Part, Scenario, register
from polymnia.data.source import Dataset


@register("single")
class Single(Scenario):
    """One stage with all samples: ordinary training, the yardstick for what a stream costs."""

    def parts(self, dataset: Dataset, split: NDArray[np.str_]) -> Sequence[Part]:
        """Return one part."""
        samples = dataset.samples
        return [Part(name="everything", rows=np.arange(len(samples)), modalities=tuple(samples.values))]
