"""After each stage: score every test set seen so far, and keep the matrix."""

from dataclasses import dataclass
from itertools import combinations
from typing import Any

from polymnia.config import Named
from polymnia.data.stage import Stage, Stream
from polymnia.errors import SettingsError
from polymnia.evaluation import metrics
from polymnia.evaluation.probes.base import name_of, settled
from polymnia.evaluation.probing import Probing
from polymnia.evaluation.scorers.base import named, scorer
from polymnia.evaluation.written import one_round
from polymnia.methods.base import Method
from polymnia.state import Tree


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """What is scored after each stage."""

    ahead: bool = False
    """Score the test sets of stages to come too."""
    task_identity: bool = False
    """Tell the model which stage a test sample is from, so that it chooses among that stage's classes only."""
    subsets: bool = True
    """Score every non-empty subset of modalities after the last stage; stages of pairs have none and are left out."""
    probes: tuple[Named, ...] = ()
    """What else to measure, after the last stage or after each: names, or mappings with a name and settings."""
    batch_size: int = 512

    def __post_init__(self) -> None:
        probes = tuple(settled(given) for given in self.probes)
        names = [name_of(given) for given in probes]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise SettingsError(f"evaluation.probes: {twice[0]!r} is given twice; each probe measures once")
        object.__setattr__(self, "probes", probes)


class Evaluator:
    """Keeps the matrix of one run.

    Parameters
    ----------
    method : Method
        What is scored.
    stream : Stream
        Encoded; its stages' test sets are the columns.
    wanted : EvaluationSettings
        What is to be scored.

    Raises
    ------
    SettingsError
        A stage's task cannot be scored.
    """

    def __init__(self, method: Method, stream: Stream, wanted: EvaluationSettings) -> None:
        self.method, self.stream, self.wanted = method, stream, wanted
        self.scorers = {stage.task: scorer(stage.task) for stage in stream}
        self.probing = Probing(wanted.probes)
        self.matrix: list[list[float | None]] = []
        self.first: list[float | None] = []
        self.per_subset: dict[str, float] = {}
        self.per_subset_counts: dict[str, int] = {}

    @property
    def metric(self) -> str:
        """What the scores are called."""
        return named(self.stream, task_identity=self.wanted.task_identity)

    def before(self) -> None:
        """Score the untrained model, which forward transfer is measured against."""
        if self.wanted.ahead:
            self.first = [self._score(stage) for stage in self.stream]

    def after(self, stage: Stage) -> list[float | None]:
        """Score after a stage and return the new row of the matrix; what several read is written once."""
        with one_round():
            return self._after(stage)

    def _after(self, stage: Stage) -> list[float | None]:
        scored = self.stream if self.wanted.ahead else self.stream.stages[: stage.index + 1]
        row = [self._score(test) for test in scored]
        self.matrix.append(row + [None] * (len(self.stream) - len(row)))
        if stage.index == len(self.stream) - 1 and self.wanted.subsets:
            self._subsets()
        self.probing.after(self.method, self.stream, stage)
        return self.matrix[-1]

    def _score(self, stage: Stage, modalities: tuple[str, ...] | None = None) -> float | None:
        samples = stage.test if modalities is None else stage.test.only(modalities)
        known = {m for outline in self.method.model.grown for m in outline.modalities}
        if not len(samples) or known.isdisjoint(samples.modalities):
            return None  # nothing that the model could look at
        among = stage.classes if self.wanted.task_identity else None
        return self.scorers[stage.task].score(self.method, samples, among=among, batch_size=self.wanted.batch_size)

    def _subsets(self) -> None:
        """Score with every non-empty subset of the modalities, each sample that has one of them."""
        stages = [stage for stage in self.stream if self.scorers[stage.task].subsets]
        names = sorted({m for stage in stages for m in stage.test.modalities})
        for size in range(1, len(names) + 1):
            for chosen in combinations(names, size):
                scores = [self._score(stage, chosen) for stage in stages]
                held = [score for score in scores if score is not None]
                if held:
                    self.per_subset["+".join(chosen)] = sum(held) / len(held)
                    self.per_subset_counts["+".join(chosen)] = sum(len(s.test.only(chosen)) for s in stages)

    def figures(self) -> dict[str, Any]:
        """Return the matrix and its figures, by their names in `scores.json`."""
        square = [row[: len(self.matrix)] for row in self.matrix]
        return {
            "metric": self.metric,
            "matrix": self.matrix,
            "before": self.first,
            "final_average": metrics.final_average(square),
            "average_incremental": metrics.average_incremental(square),
            "forgetting": metrics.forgetting(square),
            "backward_transfer": metrics.backward_transfer(square),
            "forward_transfer": metrics.forward_transfer(self.matrix, self.first),
            "learning_accuracy": metrics.learning_accuracy(square),
            "per_subset": self.per_subset,
            "per_subset_counts": self.per_subset_counts,
            "probes": self.probing.figures(),
        }

    def state_dict(self) -> dict[str, Tree]:
        """Return the scores so far."""
        seen = [row[: i + 1] if not self.wanted.ahead else row for i, row in enumerate(self.matrix)]
        return {"matrix": seen, "first": self.first, "per_subset": self.per_subset,
                "per_subset_counts": self.per_subset_counts, "probing": self.probing.state_dict()}  # fmt: skip

    def load_state_dict(self, state: dict[str, Tree]) -> None:
        """Put back what `state_dict` returned."""
        self.matrix = [row + [None] * (len(self.stream) - len(row)) for row in state["matrix"]]
        self.first = state["first"]
        self.per_subset, self.per_subset_counts = state["per_subset"], state["per_subset_counts"]
        earlier = {name: [figures] for name, figures in state.get("probes", {}).items()}  # as states were until 0.3
        self.probing.load_state_dict(state.get("probing", {"found": earlier, "probes": {}}))
