"""`classification`: the share of samples whose class is found."""

from collections.abc import Sequence

from polymnia.data.samples import Samples
from polymnia.evaluation.accuracy import accuracy
from polymnia.evaluation.scorers.base import Scorer, register
from polymnia.methods.base import Method


@register("classification")
class Classification(Scorer):
    """Accuracy over the samples that have a class."""

    metric = "accuracy"
    by_class = True
    subsets = True

    def score(
        self, method: Method, samples: Samples, *, among: Sequence[int] | None = None, batch_size: int = 512
    ) -> float | None:
        """Return the accuracy."""
        found = accuracy(method, samples, among=among, batch_size=batch_size)
        return found.score if found.of else None
