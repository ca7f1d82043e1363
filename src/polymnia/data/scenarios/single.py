"""`single`: everything at once, in one stage."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from polymnia.data.scenario import Part, Scenario, register
from polymnia.data.source import Dataset
from polymnia.errors import DataError


@register("single")
class Single(Scenario):
    """One stage with all samples: ordinary training, the yardstick for what a stream costs.

    Where samples have a column `task`, which says what is asked of them, it is a stage of that task.
    """

    def parts(self, dataset: Dataset, split: NDArray[np.str_]) -> Sequence[Part]:
        """Return one part.

        Raises
        ------
        DataError
            There are samples of several tasks.
        """
        samples = dataset.samples
        tasks = sorted(set(samples.columns["task"].tolist())) if "task" in samples.columns else ["classification"]
        if len(tasks) > 1:
            raise DataError(
                f"there are samples of {len(tasks)} tasks, {', '.join(tasks)}, and a stage has one. A stage each: "
                "scenario tasks; to a model in use, give them one after the other"
            )
        rows, modalities = np.arange(len(samples)), tuple(samples.values)
        return [Part(name="everything", rows=rows, modalities=modalities, task=tasks[0])]
