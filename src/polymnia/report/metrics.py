"""The metrics of a run's test sets: which column has which, and from where to where its scores are coloured."""

from collections.abc import Mapping, Sequence

from polymnia.evaluation.scores import BETWEEN, is_share
from polymnia.report.folder import RunFolder

LOW = ("CIDEr", "likelihood per code")
"""How metrics begin whose scores are shares of a highest one that nobody comes near: they are shown on a scale of their
own."""
NOTES: Mapping[str, str] = {
    "CIDEr/10": "CIDEr is shown as a share of the highest there is, 10; papers print ten times these numbers",
    "likelihood per code": "the likelihood of a right code is a geometric mean: a code drawn blindly of K has 1/K",
}
"""What a reader must know of a metric."""


def columns(run: RunFolder) -> list[str]:
    """Return the metric of each stage's test set."""
    tasks = [stage.get("task") for stage in run.stream["stages"]]
    kinds, metrics = list(dict.fromkeys(tasks)), run.scores.metric.split(BETWEEN)
    if len(kinds) != len(metrics):
        return [run.scores.metric] * len(tasks)
    return [metrics[kinds.index(task)] for task in tasks]


def scale(metric: str, scores: Sequence[float]) -> tuple[float, float]:
    """Return from where to where scores are coloured.

    Examples
    --------
    >>> scale("accuracy", [0.2, 0.4]), scale("CIDEr/10", [0.02, 0.04]), scale("loss", [0.2, 3.0])
    ((0.0, 1.0), (0.0, 0.04), (0.2, 3.0))
    """
    if is_share(metric):
        return 0.0, (max(scores, default=0.0) or 1.0) if metric.startswith(LOW) else 1.0
    return min(scores, default=0.0), max(scores, default=1.0)


def whole_range(metric: str) -> bool:
    """Return whether an axis of a metric goes from 0 to 1: of several metrics, where one of them wants it.

    Examples
    --------
    >>> whole_range("accuracy"), whole_range("CIDEr/10"), whole_range("CIDEr/10; VQA accuracy")
    (True, False, True)
    """
    return is_share(metric) and not all(part.startswith(LOW) for part in metric.split(BETWEEN))
