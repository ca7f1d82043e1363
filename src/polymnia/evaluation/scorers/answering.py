"""`answering`: how many questions are answered as people did."""

from collections.abc import Sequence

from polymnia.data.samples import Samples
from polymnia.evaluation.answers import vqa_accuracy
from polymnia.evaluation.judged import JUDGED, judged_accuracy
from polymnia.evaluation.scorers.base import Scorer, register
from polymnia.evaluation.written import ROWS, references, written
from polymnia.methods.base import Method


@register("answering")
class Answering(Scorer):
    """VQA accuracy: by agreement with ten annotators where there are so many, else right or wrong.

    Samples whose column `judged` says so are judged in other ways, see `polymnia.evaluation.judged`.
    """

    metric = "VQA accuracy"

    def score(
        self, method: Method, samples: Samples, *, among: Sequence[int] | None = None, batch_size: int = ROWS
    ) -> float | None:
        """Return the mean accuracy; None of no samples."""
        if not len(samples):
            return None
        texts, right = written(method, samples, batch_size=batch_size), references(samples)
        if JUDGED in samples.columns:
            return judged_accuracy(texts, right, samples.columns[JUDGED].tolist())
        return vqa_accuracy(texts, right)
