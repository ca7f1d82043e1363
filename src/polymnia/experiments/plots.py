"""Plots of an experiment's results as SVG files: forgetting against learning accuracy, and final averages."""

import hashlib
import inspect
import io
import json
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from polymnia.errors import MissingExtra

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, GRID = "#1a1d21", "#d9dde2"
COLOURS = ("#0b6e6e", "#b04a12", "#4a55b8", "#a8306c", "#846800", "#2f7a34", "#0072ad", "#646c76")
MARKERS = "os^DvP"

SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "polymnia",
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.axisbelow": True,
    "axes.edgecolor": GRID,
    "axes.labelcolor": INK,
    "text.color": INK,
}

Means = Mapping[str, Mapping[str, Any]]
"""Method → figure → mean, half width and number of seeds."""


def seal(stream: str, means: Means) -> str:
    """Return what identifies a plot: the digest of its figures and of the code that draws them.

    It stands in the file, so that a check needs no second drawing: another version of matplotlib would write
    other bytes for the same plot.
    """
    figures = {
        method: {name: table[name] for name in ("forgetting", "learning_accuracy", "final_average") if name in table}
        for method, table in means.items()
    }
    code = inspect.getsource(sys.modules[__name__])
    return hashlib.sha256(json.dumps([stream, figures, code], sort_keys=True).encode()).hexdigest()


def svg(size: tuple[float, float], *, sealed: str, fill: "Callable[[Figure], None]") -> str:
    """Return a figure of some inches that `fill` draws, as an SVG file that names its seal.

    Raises
    ------
    MissingExtra
        matplotlib is not installed.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtra("matplotlib", "report") from None
    written = io.StringIO()
    with rc_context(SETTINGS):
        figure = Figure(figsize=size, layout="constrained", facecolor="white")
        fill(figure)
        figure.savefig(written, format="svg", metadata={"Date": None, "Description": f"sealed {sealed}"})
    return written.getvalue()


def draw(stream: str, means: Means) -> str:
    """Return one stream's plot as an SVG file: kept against learned on the left, the outcome on the right."""

    def fill(figure: "Figure") -> None:
        style = {method: _style(place) for place, method in enumerate(means)}
        kept, final = figure.subplots(1, 2, width_ratios=(1.0, 1.1))
        _kept(kept, means, style)
        _final(final, means, style)
        figure.suptitle(stream)

    return svg((10.0, max(3.6, 0.27 * len(means) + 0.9)), sealed=seal(stream, means), fill=fill)


def _kept(axes: "Axes", means: Means, style: Mapping[str, tuple[str, str]]) -> None:
    """Forgetting against learning accuracy; top left is where nothing is lost and all is learned."""
    for method, table in means.items():
        if "forgetting" not in table or "learning_accuracy" not in table:
            continue
        (x, across), (y, up) = _interval(table["forgetting"]), _interval(table["learning_accuracy"])
        colour, marker = style[method]
        axes.errorbar(x, y, xerr=across, yerr=up, fmt=marker, color=colour, markersize=6, elinewidth=1.0, capsize=2.0)
    axes.set_xlabel("forgetting (less is better)")
    axes.set_ylabel("learning accuracy (plasticity)")
    _plain(axes, "both")


def _final(axes: "Axes", means: Means, style: Mapping[str, tuple[str, str]]) -> None:
    """Final averages as bars with intervals, best on top; each method's marker stands in its bar."""
    ranked = sorted((m for m in means if "final_average" in means[m]), key=lambda m: _rank(means, m))
    for row, method in enumerate(ranked):
        mean, half = _interval(means[method]["final_average"])
        colour, marker = style[method]
        axes.barh(row, mean, xerr=half, color=colour, height=0.72, capsize=2.0, error_kw={"elinewidth": 1.0})
        axes.plot(0.015, row, marker, color="white", markersize=4)
    axes.set_yticks(range(len(ranked)), ranked)
    axes.set_xlim(0.0, 1.0)
    axes.set_xlabel("final average accuracy, 95 % interval")
    _plain(axes, "x")


def _plain(axes: "Axes", grid: Any) -> None:
    axes.grid(axis=grid, color=GRID, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(length=0)


def _style(place: int) -> tuple[str, str]:
    """Return a colour and a marker; no two of the first 48 methods share both."""
    colour, cycle = place % len(COLOURS), place // len(COLOURS)
    return COLOURS[colour], MARKERS[(colour + cycle) % len(MARKERS)]


def _interval(figure: Mapping[str, Any]) -> tuple[float, float]:
    return figure["mean"], figure["half_width"] or 0.0


def _rank(means: Means, method: str) -> tuple[float, str]:
    return means[method]["final_average"]["mean"], method
