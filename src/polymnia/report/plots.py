"""Figures as inline SVG: drawn by matplotlib, coloured by the page, the same bytes for the same numbers."""

import io
import re
import warnings
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

from polymnia.errors import MissingExtra
from polymnia.report.theme import LIGHT, SERIES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

Draw = Callable[["Axes"], None]

MARKERS = "os^DvPX*"

# Drawn in placeholder colours, which become the page's CSS variables: so one drawing serves light and dark.
_NAMES = tuple(LIGHT)
_PLACEHOLDER = {name: f"#0f0f{place:02x}" for place, name in enumerate(_NAMES)}

_SETTINGS: Any = {
    "text.parse_math": False,  # a stage may be called "a$b$"
    "svg.fonttype": "none",  # text stays text: it can be read aloud, searched and scaled
    "svg.hashsalt": "polymnia",
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that the layout is the same on every machine
    "font.size": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "axes.axisbelow": True,
    "xtick.major.size": 0.0,
    "ytick.major.size": 0.0,
    "text.color": _PLACEHOLDER["ink"],
    "axes.labelcolor": _PLACEHOLDER["muted"],
    "xtick.labelcolor": _PLACEHOLDER["muted"],
    "ytick.labelcolor": _PLACEHOLDER["muted"],
    "axes.edgecolor": _PLACEHOLDER["muted"],
    "grid.color": _PLACEHOLDER["line"],
}


class Plot(NamedTuple):
    """A figure of a page: its SVG, and what it shows in words."""

    svg: str
    caption: str


def colour(name: str | int) -> str:
    """Return the placeholder of a colour of the page, or of the series of that number."""
    return _PLACEHOLDER[f"s{name % SERIES}" if isinstance(name, int) else name]


def plot(draw: Draw, *, name: str, label: str, caption: str, inches: tuple[float, float] = (4.9, 3.0)) -> Plot:
    """Return a figure that `draw` draws on one pair of axes.

    Parameters
    ----------
    draw : callable
        Gets the axes; uses `colour` for every colour.
    name : str
        Unique in the page.
    label : str
        What a screen reader says instead.
    caption : str
        What stands below.
    inches : (float, float)
        Width and height, without the legend, which goes below; the page scales the figure to its column.

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
    with rc_context(_SETTINGS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # the reader's browser has its own fonts
        # not pyplot: no backend is chosen and no figure is left behind for the caller
        figure = Figure(figsize=inches, layout="constrained")
        axes = figure.add_subplot()
        draw(axes)
        entries = len(axes.get_legend_handles_labels()[1])
        if entries:
            figure.legend(loc="outside lower center", ncols=2, columnspacing=1.4, handlelength=1.8)
            figure.set_size_inches(inches[0], inches[1] + 0.23 * -(-entries // 2))
        figure.savefig(written, format="svg", transparent=True, metadata={"Date": None})
    return Plot(_inline(written.getvalue(), name=name, label=label), caption)


def shortened(label: str, most: int = 24) -> str:
    """Return a label short enough for a figure.

    Examples
    --------
    >>> shortened("replay memory=200 model.head=cosine")
    'replay memory=200 model…'
    """
    return label if len(label) <= most else label[: most - 1].rstrip(" .=") + "…"


def per_cent(axis: "Axis") -> None:
    """Label an axis of shares in per cent."""
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    axis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    axis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))


def whole(axis: "Axis") -> None:
    """Label an axis of counts with whole numbers."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(nbins=10, integer=True, min_n_ticks=1))


def _inline(svg: str, *, name: str, label: str) -> str:
    """Make a stand-alone SVG file part of a page: no prologue, no metadata, its own ids, the page's colours."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", body, flags=re.DOTALL)
    box = re.search(r'viewBox="([^"]*)"', body)
    if box is None:
        raise ValueError("matplotlib wrote an SVG without a view box")
    body = body[body.index(">") + 1 :]
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = body.replace("url(#", f"url(#{name}-").replace('xlink:href="#', f'href="#{name}-')
    body = re.sub(r"#0f0f([0-9a-f]{2})", lambda found: f"var(--{_NAMES[int(found[1], 16)]})", body)
    return f'<svg viewBox="{box[1]}" role="img" aria-label="{escape(label)}">{body}'
