"""`generation`: how likely the right picture is, code by code."""

from collections.abc import Sequence
from math import exp

from polymnia.data.samples import Samples
from polymnia.evaluation.probes.likelihood import nats
from polymnia.evaluation.scorers.base import Scorer, register
from polymnia.methods.base import Method


@register("generation")
class Generation(Scorer):
    """The geometric mean of the likelihoods of the right codes, given the prompt and the codes before: exp(−NLL).

    A scorer sees a stage's encoded test samples and no training pictures, of which a judge of drawn pictures would
    have to learn. Likelihood needs none: it is exact, has no noise of sampling, moves before agreement does, and is
    there for every source, also of those that do not say what a picture shows. Agreement, distances and diversity are
    figures of the probe `drawing`.

    The choice is ours [X]: the paper has no score of generation in its matrix, for it trains none.
    """

    metric = "likelihood per code"

    def score(
        self, method: Method, samples: Samples, *, among: Sequence[int] | None = None, batch_size: int = 512
    ) -> float | None:
        """Return the mean likelihood; None where no sample is to be drawn."""
        found = nats(method, samples)
        return None if found is None else exp(found)
