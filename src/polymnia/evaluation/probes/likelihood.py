"""`likelihood`: how likely the right tokens are, also where what is written is not right yet."""

from math import isnan
from typing import Any, ClassVar

from torch.nn.functional import cross_entropy

from polymnia.data.samples import Samples
from polymnia.data.stage import Stage, Stream
from polymnia.evaluation.cells import by_cells
from polymnia.evaluation.metrics import forgetting
from polymnia.evaluation.probes.base import Figures, Probe, register
from polymnia.evaluation.written import ROWS
from polymnia.methods.base import Method

LOGITS = 2**28
"""At most so many are there at once: a gigabyte. A picture of Chameleon's has 75 million."""


@register("likelihood")
class Likelihood(Probe):
    """The mean log-likelihood of the tokens that are right, in nats, on the test set of every stage so far.

    Where little is learned a score stays at its floor and cannot fall; likelihood can. For each stage S: `nats S`, at
    most 0. Over stages: `forgetting`, and `change on` and `score on` the cells of `evaluation.cells`, in nats. All
    tokens count alike, also of one sample.

    Empty for families whose rows are samples.
    """

    each = True
    state: ClassVar[tuple[str, ...]] = ("matrix",)

    def __init__(self) -> None:
        self.matrix: list[list[float | None]] = []

    def measure(self, method: Method, stream: Stream, stage: Stage) -> Figures:
        """Return figures of all stages so far."""
        if "text" not in method.model.provides:
            return {}
        seen = stream.stages[: stage.index + 1]
        self.matrix = [*self.matrix, [nats(method, test.test) for test in seen]]
        found = {f"nats {test.name}": value for test, value in zip(seen, self.matrix[-1], strict=True)}
        means = {"forgetting": forgetting(self.matrix, list(range(len(seen)))), **by_cells(self.matrix, seen)}
        return {**found, **{name: None if isnan(value) else value for name, value in means.items()}}


def nats(method: Method, samples: Samples) -> float | None:
    """Return the mean log-likelihood of the tokens that samples want; None where they want none."""
    total, tokens = 0.0, 0
    for batch in method.batches(samples, rows_at_once(method.model)) if len(samples) else ():
        output = method.predict(batch)
        wanted = output.targets >= 0
        total += float(cross_entropy(output.logits[wanted].float(), output.targets[wanted], reduction="sum"))
        tokens += int(wanted.sum())
    return -total / tokens if tokens else None


def rows_at_once(model: Any) -> int:
    """Return how many samples are looked at together: fewer where each has a picture's many logits."""
    host = getattr(model, "unified", None)
    return ROWS if host is None else max(1, min(ROWS, LOGITS // (host.length * (host.vocabulary + host.codes))))
