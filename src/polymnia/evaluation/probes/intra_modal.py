"""`intra-modal`: what of understanding is forgotten by understanding, and how well it was learned when it came."""

from math import isnan
from typing import ClassVar

from polymnia.data.stage import Stage, Stream
from polymnia.data.wording import WRITTEN
from polymnia.evaluation.metrics import backward_transfer, final_average, forgetting, learning_accuracy
from polymnia.evaluation.probes.base import Figures, Probe, register
from polymnia.evaluation.scorers.base import scorer
from polymnia.evaluation.written import one_round
from polymnia.methods.base import Method


@register("intra-modal")
class IntraModal(Probe):
    """Figures of the matrix over the stages whose answers are texts; stages of drawing have no part in them.

    `accuracy`: mean score after the stage measured. `learned`: mean score of each stage when it was learned:
    plasticity, without which forgetting says little. `forgetting`: mean of learned − now over the test sets but the
    newest stage's, as MoDE's table can be reckoned back to; `forgetting from best`: of the highest since learned − now.
    `backward transfer`: `forgetting` with its sign turned. None where there is no earlier stage of texts.

    Empty for families that write no texts.

    Source: Wei et al. 2025; the specification, sections 1.3 and 5, row 12.
    """

    each = True
    state: ClassVar[tuple[str, ...]] = ("matrix",)

    def __init__(self) -> None:
        self.matrix: list[list[float | None]] = []

    def measure(self, method: Method, stream: Stream, stage: Stage) -> Figures:
        """Return figures of all stages of texts so far."""
        if "text" not in method.model.provides:
            return {}
        seen = stream.stages[: stage.index + 1]
        with one_round():
            scores = [scorer(test.task).score(method, test.test) if test.task in WRITTEN else None for test in seen]
        self.matrix = [*self.matrix, scores]
        texts = [test.index for test in seen if test.task in WRITTEN]
        back = backward_transfer(self.matrix, texts)
        found = {
            "accuracy": final_average(self.matrix, texts),
            "learned": learning_accuracy(self.matrix, texts),
            "forgetting": 0.0 - back,
            "forgetting from best": forgetting(self.matrix, texts),
            "backward transfer": back,
        }
        return {name: None if isnan(value) else value for name, value in found.items()}
