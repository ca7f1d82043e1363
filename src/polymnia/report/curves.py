"""The figures of one run: accuracy over stages, kept beside learned, and the training losses."""

from collections import defaultdict
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from polymnia.evaluation.scores import is_share
from polymnia.report import metrics
from polymnia.report.folder import RunFolder, numbered
from polymnia.report.plots import MARKERS, Plot, colour, per_cent, plot, shortened, whole
from polymnia.report.theme import SERIES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Points = tuple[list[float], list[float]]
Event = dict[str, Any]


def curves(run: RunFolder) -> list[Plot]:
    """Return the figures that a run has numbers for.

    Raises
    ------
    MissingExtra
        matplotlib is not installed.
    """
    kinds = dict.fromkeys(metrics.columns(run))
    drawn = [*(_test_sets(run, metric, place) for place, metric in enumerate(kinds)), _kept_and_learned(run)]
    steps = [event for event in run.events if event.get("kind") == "step" and event.get("losses")]
    if steps:
        drawn.append(_losses(run, steps))
    valid = [event for event in run.events if event.get("kind") == "valid"]
    if valid:
        drawn.append(_validation(run, valid))
    return drawn


def _test_sets(run: RunFolder, metric: str, place: int) -> Plot:
    """Score of each test set of one metric, after every stage that scored it."""
    matrix = run.scores.matrix
    every = zip(run.stream["stages"], metrics.columns(run), strict=True)
    names = {j: stage["name"] for j, (stage, of) in enumerate(every) if of == metric}
    few = max(names) < SERIES
    title = "Every test set" if len(names) == len(run.stream["stages"]) else f"Test sets scored by {escape(metric)}"

    def draw(axes: "Axes") -> None:
        for j, name in names.items():
            x, y = _held([(i + 1, row[j]) for i, row in enumerate(matrix)])
            look: dict[str, Any] = (
                {"color": colour(j), "marker": MARKERS[j % SERIES]} if few else {"color": colour("accent")}
            )
            axes.plot(
                x, y, alpha=1.0 if few else 0.45, lw=1.3, label=shortened(numbered(j, name)) if few else None, **look
            )
        x, y = _held([(i + 1, _mean([row[j] for j in names if j <= i])) for i, row in enumerate(matrix)])
        axes.plot(x, y, color=colour("ink"), lw=2.6, label="mean of the stages seen")
        _stages_axis(axes, len(matrix), metric)

    alike = "" if few else " There are too many test sets to tell them apart here: the table above has every number."
    return plot(
        draw,
        name="test-sets" + (f"-{place}" if place else ""),
        label=f"Line chart of {metric} on each test set after each stage.",
        caption=f"<b>{title} over the stages.</b> The bold line is the mean of the stages seen so far.{alike}",
    )


def _kept_and_learned(run: RunFolder) -> Plot:
    """What the newest stage reached when it came, beside what the earlier ones still reach."""
    matrix = run.scores.matrix

    def draw(axes: "Axes") -> None:
        learned = _held([(i + 1, row[i]) for i, row in enumerate(matrix)])
        kept = _held([(i + 1, _mean(row[:i])) for i, row in enumerate(matrix)])
        axes.plot(*learned, color=colour("accent"), marker="o", label="the stage just learned")
        axes.plot(*kept, color=colour("warm"), marker="s", ls="--", label="the stages before it")
        _stages_axis(axes, len(matrix), run.scores.metric)

    return plot(
        draw,
        name="kept-learned",
        label=f"Line chart of {run.scores.metric} on the newest stage and on the earlier stages, after each stage.",
        caption="<b>Learned and kept.</b> Plasticity is the height of the solid line; forgetting is how far the "
        "dashed one falls below it.",
    )


def _losses(run: RunFolder, steps: Sequence[Event]) -> Plot:
    """Every named loss over the optimiser steps of the whole run."""
    starts = _starts(run, steps)
    terms: dict[str, list[tuple[float, float | None]]] = defaultdict(list)
    for event in steps:
        for name, value in event["losses"].items():
            terms[name].append((starts[event["stage"]] + event["step"], value))
    positive = [value for points in terms.values() for _, value in points if value is not None and value > 0]
    every = sum(len(points) for points in terms.values())
    logarithmic = len(positive) == every and max(positive) > 50 * min(positive)

    def draw(axes: "Axes") -> None:
        for i, (name, points) in enumerate(sorted(terms.items())):
            points.sort()
            marker = MARKERS[i % SERIES] if len(points) <= 40 else ""
            axes.plot(*_held(points), color=colour(i), marker=marker, label=f"loss: {name}")
        for start in sorted(starts.values())[1:]:
            axes.axvline(start, color=colour("muted"), lw=0.8, ls=":")
        if logarithmic:
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter(lambda value, place: f"{value:g}")
        axes.grid(visible=False, axis="x")
        axes.set_xlabel("optimiser step")
        axes.set_ylabel("loss" + (" (log scale)" if logarithmic else ""))

    return plot(
        draw,
        name="losses",
        label="Line chart of the training losses over the optimiser steps.",
        caption="<b>Training losses.</b> Dotted lines: a new stage begins.",
    )


def _validation(run: RunFolder, events: Sequence[Event]) -> Plot:
    """Validation score on the current stage, epoch by epoch."""
    by_stage: dict[int, list[tuple[float, float | None]]] = defaultdict(list)
    for event in events:
        by_stage[event["stage"]].append((event["epoch"], event.get("score", event.get("accuracy"))))
    scored = list(dict.fromkeys(event.get("metric", "accuracy") for event in events))  # older runs have no other

    def draw(axes: "Axes") -> None:
        for stage, points in sorted(by_stage.items()):
            axes.plot(*_held(sorted(points)), color=colour(stage), marker=MARKERS[stage % SERIES],
                      label=f"stage {stage + 1}" if len(by_stage) <= SERIES else None)  # fmt: skip
        whole(axes.xaxis)
        if all(map(is_share, scored)):
            per_cent(axes.yaxis)
        axes.set_xlabel("epochs of the stage")
        axes.set_ylabel(f"validation: {'; '.join(scored)}")

    return plot(
        draw,
        name="validation",
        label="Line chart of the validation score on the current stage over epochs.",
        caption="<b>Validation on the current stage.</b> A stage keeps its best weights and stops when they are old.",
    )


def _starts(run: RunFolder, steps: Sequence[Event]) -> dict[int, int]:
    """Return the number of steps done before each stage; a stage under way has only its events to go by."""
    seen: dict[int, int] = defaultdict(int)
    for event in steps:
        seen[event["stage"]] = max(seen[event["stage"]], event["step"])
    for index, cost in enumerate(run.scores.cost):
        seen[index] = max(seen[index], cost.steps)
    starts, total = {}, 0
    for stage in sorted(seen):
        starts[stage] = total
        total += seen[stage]
    return starts


def _held(points: Sequence[tuple[float, float | None]]) -> Points:
    kept = [(x, y) for x, y in points if y is not None]
    return [x for x, _ in kept], [y for _, y in kept]


def _mean(row: Sequence[float | None]) -> float | None:
    held = [score for score in row if score is not None]
    return sum(held) / len(held) if held else None


def _stages_axis(axes: "Axes", stages: int, metric: str) -> None:
    axes.set_xlabel("after stage")
    axes.set_ylabel(metric)
    whole(axes.xaxis)
    axes.set_xlim(0.8, stages + 0.2)
    if is_share(metric):
        if metrics.whole_range(metric):
            axes.set_ylim(-0.03, 1.03)
        else:
            axes.set_ylim(0.0, 1.05 * axes.dataLim.y1 or 1.0)
        per_cent(axes.yaxis)
