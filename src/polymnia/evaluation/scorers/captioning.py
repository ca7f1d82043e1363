"""`captioning`: how near captions are to what people said of the same."""

from collections.abc import Sequence

from polymnia.data.samples import Samples
from polymnia.evaluation.captions import HIGHEST, cider
from polymnia.evaluation.scorers.base import Scorer, register
from polymnia.evaluation.written import ROWS, references, written
from polymnia.methods.base import Method


@register("captioning")
class Captioning(Scorer):
    """CIDEr against all references, as a share of the highest there is, 10.

    So it lies between 0 and 1 like the scores of other tasks, and captions do not weigh ten times as much in a mean
    over tasks. Papers print a thousand times this number: 0.052 is their 52.
    """

    metric = "CIDEr/10"

    def score(
        self, method: Method, samples: Samples, *, among: Sequence[int] | None = None, batch_size: int = ROWS
    ) -> float | None:
        """Return CIDEr / 10; None of fewer than two samples, for n-grams are rare or common among several only."""
        if len(samples) < 2:
            return None
        return cider(written(method, samples, batch_size=batch_size), references(samples)) / HIGHEST
