"""The head of a run's page: its figures in one sentence and in tiles, plasticity always beside forgetting."""

from dataclasses import dataclass
from math import isnan

from polymnia.evaluation import scores as named
from polymnia.evaluation.scores import Scores
from polymnia.report import units


@dataclass(frozen=True)
class Figure:
    """One number of the head of the page."""

    name: str
    value: str
    unit: str
    says: str
    look: str = ""


def is_share(scores: Scores) -> bool:
    """Whether the metric is a share, to be shown in per cent."""
    return named.is_share(scores.metric)


def verdict(scores: Scores) -> str:
    """Say plasticity and forgetting in one breath."""
    learned, lost, final = scores.learning_accuracy, scores.forgetting, scores.final_average
    if isnan(learned) or isnan(final):
        return "No test set could be scored."
    score = units.share if is_share(scores) else units.plain
    gap = f"{abs(100 * lost):.1f} points" if is_share(scores) else f"{abs(lost):.3f}"
    if len(scores.stages) == 1 or isnan(lost):
        return f"It learned to {score(learned)}; forgetting shows once a stage that was scored has another after it."
    change = f"has since lost {gap} of its best" if lost >= 0 else f"has since gained {gap} on its best"
    return f"It learned each stage to {score(learned)} when it came, {change}, and ends at {score(final)} over all."


def tiles(scores: Scores) -> list[list[Figure]]:
    """Return the figures of the head of the page; plasticity always stands beside forgetting."""

    share = is_share(scores)

    def level(name: str, value: float, says: str, look: str = "", unit: str = "%") -> Figure:
        text = units.share(value).removesuffix(" %") if share else units.plain(value)
        return Figure(name, text, unit if share and not isnan(value) else "", says, look)

    def change(name: str, value: float | None, says: str) -> Figure:
        if value is None or isnan(value):
            return Figure(name, units.NOTHING, "", says)
        return Figure(name, units.points(value) if share else units.signed(value, 3), "points" if share else "", says)

    ahead = "on stages not learned yet, against the untrained model"
    if scores.forward_transfer is None:
        ahead = "not measured: evaluation.ahead is off"
    return [
        [
            level("Final average", scores.final_average, "all test sets, after the last stage"),
            level("Average incremental", scores.average_incremental, "mean over stages of the mean seen"),
        ],
        [
            level("Learning accuracy", scores.learning_accuracy, "plasticity: each stage when it came", "good"),
            level("Forgetting", scores.forgetting, "lost since the best, mean of the earlier stages", "lost", "points"),
        ],
        [
            change("Backward transfer", scores.backward_transfer, "earlier stages: at the end against when they came"),
            change("Forward transfer", scores.forward_transfer, ahead),
        ],
    ]
