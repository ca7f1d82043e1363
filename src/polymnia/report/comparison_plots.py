"""The figures of a comparison: final averages with intervals, forgetting against learning, and the way there."""

from typing import TYPE_CHECKING, Any

from polymnia.evaluation.statistics import mean_interval
from polymnia.report.comparison import Compared, Comparison
from polymnia.report.plots import MARKERS, Plot, colour, per_cent, plot, shortened, whole
from polymnia.report.theme import SERIES

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def comparison_plots(comparison: Comparison, *, share: bool) -> list[Plot]:
    """Return the figures of a comparison.

    Parameters
    ----------
    comparison : Comparison
        What to draw.
    share : bool
        Whether the metric is a share, drawn from 0 to 100 %.

    Raises
    ------
    MissingExtra
        matplotlib is not installed.
    """
    groups = comparison.groups
    return [_bars(groups, share=share), _scatter(groups, share=share), _over_stages(groups, share=share)]


def _bars(groups: tuple[Compared, ...], *, share: bool) -> Plot:
    shown = [each for each in groups if "final_average" in each.figures]

    def draw(axes: "Axes") -> None:
        places = range(len(shown))
        means = [each.figures["final_average"] for each in shown]
        axes.barh(places, [s.mean for s in means], height=0.62, color=colour("accent"), alpha=0.35)
        for place, s in zip(places, means, strict=True):
            if s.half_width is not None:
                axes.errorbar(s.mean, place, xerr=s.half_width, color=colour("ink"), capsize=3, lw=1.4)
            axes.plot(s.values, [place] * s.n, "o", color=colour("accent"), ms=3.2, alpha=0.9)
        axes.set_yticks(places, [shortened(each.group.label) for each in shown])
        axes.tick_params(axis="y", labelcolor=colour("ink"))
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("final average")
        if share:
            axes.set_xlim(0, 1.03)
            per_cent(axes.xaxis)

    return plot(
        draw,
        name="bars",
        label="Bar chart of the final average of each group with its 95 % interval.",
        caption="<b>Final average.</b> Bars: means; lines: 95 % intervals over seeds; dots: single runs.",
        inches=(4.9, max(2.4, 0.34 * len(shown) + 0.9)),
    )


def _scatter(groups: tuple[Compared, ...], *, share: bool) -> Plot:
    def draw(axes: "Axes") -> None:
        for i, each in enumerate(groups):
            x, y = each.figures.get("learning_accuracy"), each.figures.get("forgetting")
            if x is None or y is None:
                continue
            axes.errorbar(x.mean, y.mean, xerr=x.half_width, yerr=y.half_width, ms=6.5, capsize=2, elinewidth=0.9,
                          label=shortened(each.group.label), **_look(i))  # fmt: skip
        axes.set_xlabel("learning accuracy: plasticity")
        axes.set_ylabel("forgetting")
        if share:
            per_cent(axes.xaxis)
            per_cent(axes.yaxis)

    return plot(
        draw,
        name="scatter",
        label="Scatter chart of forgetting against learning accuracy, one mark for each group.",
        caption="<b>Forgetting against learning.</b> Best is at the lower right: learned everything, forgot nothing. "
        "Crosses: 95 % intervals.",
    )


def _over_stages(groups: tuple[Compared, ...], *, share: bool) -> Plot:
    def draw(axes: "Axes") -> None:
        for i, each in enumerate(groups):
            ways = [_way(run.scores.matrix) for run in each.group.runs.values()]
            after = list(zip(*ways, strict=True)) if len({len(way) for way in ways}) == 1 else []
            held = [(stage + 1, [s for s in scores if s is not None]) for stage, scores in enumerate(after)]
            means = [(stage, mean_interval(scores).mean) for stage, scores in held if scores]
            axes.plot([s for s, _ in means], [m for _, m in means], label=shortened(each.group.label), **_look(i))
        whole(axes.xaxis)
        axes.set_xlabel("after stage")
        axes.set_ylabel("mean of the stages seen")
        if share:
            axes.set_ylim(-0.03, 1.03)
            per_cent(axes.yaxis)

    return plot(
        draw,
        name="over-stages",
        label="Line chart of the mean over the stages seen, after each stage, one line for each group.",
        caption="<b>The way there.</b> Mean over the stages seen so far, averaged over seeds.",
    )


def _way(matrix: list[list[float | None]]) -> list[float | None]:
    """Return, after each stage, the mean over the stages seen."""
    seen = [[score for score in row[: i + 1] if score is not None] for i, row in enumerate(matrix)]
    return [sum(scores) / len(scores) if scores else None for scores in seen]


def _look(i: int) -> dict[str, Any]:
    """Return colour and marker; the pair stays unique for SERIES × SERIES groups."""
    return {"color": colour(i), "marker": MARKERS[(i + i // SERIES) % SERIES]}
