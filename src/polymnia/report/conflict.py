"""Gradients of reading and of drawing, for the report: cosines over the steps, layer by layer, sums along the path."""

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from polymnia.report.folder import RunFolder
from polymnia.report.plots import MARKERS, Plot, colour, plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Record = Mapping[str, Any]
Line = list[tuple[float, float | None]]
NAMES = {"all": "all parameters", "text": "texts' alone", "picture": "pictures' alone", "shared": "shared"}
MOST = 100
"""Points of a line; more steps are shown as means of neighbours."""
COLUMNS = 50
"""Of the map of layers."""


class Cell(NamedTuple):
    """A rectangle of the map of layers."""

    left: float
    width: float
    row: int
    value: float


def conflict_plots(run: RunFolder) -> list[Plot]:
    """Return what the probe `conflict` measured at the steps of a run, and `slopes` after it; empty without them.

    Raises
    ------
    MissingExtra
        matplotlib is not installed.
    """
    slopes = run.scores.probes.get("slopes", {}).get("steps", [])
    drawn = [_slopes(slopes)] if slopes else []
    parts = _parts(run)
    if not parts:
        return drawn
    names = _blocks([record["series"] for _, record in parts])
    return [_cosines(parts, names), _paths(parts, names), _layers(parts, names), *drawn]


def _parts(run: RunFolder) -> list[tuple[int, Record]]:
    """Return for each stage that was measured how many steps were done before it, and what was measured."""
    starts = [0, *accumulate(cost.steps for cost in run.scores.cost)]
    stages = zip(starts, run.scores.stages, strict=False)
    return [(start, run.conflict[stage]) for start, stage in stages if stage in run.conflict]


def _blocks(series: Sequence[Record]) -> dict[str, str]:
    """Return blocks and what they are called; a single part is all there is and not said twice."""
    there = [block for block in NAMES if any(block in each for each in series)]
    return {block: NAMES[block] for block in (there if len(there) > 2 else there[:1])}


def _line(parts: Sequence[tuple[int, Record]], values: Callable[[Record], Sequence[float | None]]) -> Line:
    """Return (step of the run, value) of all stages measured."""
    return [
        (start + step + 1, value)
        for start, record in parts
        for step, value in zip(record["steps"], values(record), strict=True)
    ]


def thinned(line: Line, most: int = MOST) -> Line:
    """Return a line of so many points at most: means of as many neighbours each.

    Examples
    --------
    >>> thinned([(1, 1.0), (2, None), (3, 3.0), (4, 5.0)], 2)
    [(1.5, 1.0), (3.5, 4.0)]
    """
    each = -(-len(line) // most)
    found: Line = []
    for at in range(0, len(line), each):
        near = line[at : at + each]
        held = [value for _, value in near if value is not None]
        found.append((sum(x for x, _ in near) / len(near), sum(held) / len(held) if held else None))
    return found


def _cosines(parts: Sequence[tuple[int, Record]], names: Mapping[str, str]) -> Plot:
    lines = {f"g_t and g_v, {shown}": _line(parts, _of(block, "cosine")) for block, shown in names.items()}
    update = _line(parts, _of("all", "update cosine"))

    def draw(axes: "Axes") -> None:
        for i, (shown, line) in enumerate(lines.items()):
            _plotted(axes, thinned(line), color=colour(i), label=shown)
        _plotted(axes, thinned(update), color=colour("ink"), ls="--", lw=1.2, label="Δθ and g_v, all parameters")
        axes.axhline(0.0, color=colour("muted"), lw=0.8)
        _steps_axis(axes, parts, "cosine")

    return plot(
        draw,
        name="conflict-cosine",
        label="Line chart of the cosines of gradients over the optimiser steps.",
        caption="<b>Do reading and drawing pull apart?</b> g_t is the gradient of what a stage learns, g_v that of "
        "drawing, Δθ the step done. Below 0 the gradients are in conflict; above 0 a step makes drawing worse.",
    )


def _paths(parts: Sequence[tuple[int, Record]], names: Mapping[str, str]) -> Plot:
    actual = _summed(_line(parts, lambda record: [after - before for before, after in record["drawing loss"]]))
    first = {
        f"first order, {shown}": _summed(_line(parts, _of(block, "first order"))) for block, shown in names.items()
    }

    def draw(axes: "Axes") -> None:
        for i, (shown, line) in enumerate(first.items()):
            _plotted(axes, line[:: -(-len(line) // MOST)] + line[-1:], color=colour(i), ls="--", label=shown)
        _plotted(axes, actual[:: -(-len(actual) // MOST)] + actual[-1:], color=colour("ink"), lw=2.2, label="actual")
        _steps_axis(axes, parts, "sum of changes of drawing's loss")

    return plot(
        draw,
        name="conflict-path",
        label="Line chart of the sums of first-order and actual changes of drawing's loss over the optimiser steps.",
        caption="<b>What the steps did to drawing.</b> Σ ⟨Δθ, g_v⟩ beside Σ ΔL_v over the steps measured: the nearer "
        "the lines, the more of the damage is conflict of the first order.",
    )


def _layers(parts: Sequence[tuple[int, Record]], names: Mapping[str, str]) -> Plot:
    layers = dict.fromkeys(layer for _, record in parts for layer in record["layers"])
    apart = [block for block in names if block != "all"] or ["all"]
    lines = {(layer, block): _by_layer(parts, layer, block) for layer in layers for block in apart}
    shown = {rows: line for rows, line in lines.items() if any(value is not None for _, value in line)}
    cells = [cell for row, line in enumerate(shown.values()) for cell in _cells(line, row)]
    rows = [layer if len(apart) == 1 else f"{layer}, {names[block]}" for layer, block in shown]
    most = max((abs(cell.value) for cell in cells), default=0.0) or 1.0

    def draw(axes: "Axes") -> None:
        from matplotlib.patches import Rectangle

        for cell in cells:
            shade = colour("warm" if cell.value < 0 else "accent")
            axes.add_patch(
                Rectangle((cell.left, cell.row - 0.5), cell.width, 1.0, fc=shade, lw=0, alpha=abs(cell.value) / most)
            )
        axes.set_xlim(min(cell.left for cell in cells), max(cell.left + cell.width for cell in cells))
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_yticks(range(len(rows)), rows)
        axes.grid(visible=False)
        _steps_axis(axes, parts, "")

    return plot(
        draw if cells else lambda axes: axes.set_axis_off(),
        name="conflict-layers",
        label="Heat map of the cosine of both gradients by layer and optimiser step.",
        caption="<b>Conflict by layer.</b> Cosine of g_t and g_v: "
        f'<span style="color: var(--warm)">below 0</span> or <span style="color: var(--accent)">above 0</span>; the '
        f"fullest colour is {most:.2g}.",
        inches=(4.9, 1.4 + 0.22 * len(rows)),
    )


def _by_layer(parts: Sequence[tuple[int, Record]], layer: str, block: str) -> Line:
    own = [(start, record) for start, record in parts if block in record["layers"].get(layer, {})]
    return _line(own, lambda record: record["layers"][layer][block]["cosine"])


def _cells(line: Line, row: int) -> list[Cell]:
    """Return a row's rectangles, as many as the steps measured or fewer."""
    points = thinned(line, COLUMNS)
    ends = [(a + b) / 2 for (a, _), (b, _) in pairwise(points)]
    edges = [points[0][0] - 0.5, *ends, points[-1][0] + 0.5]
    return [
        Cell(left, right - left, row, value)
        for left, right, (_, value) in zip(edges, edges[1:], points, strict=False)
        if value is not None
    ]


def _slopes(steps: Sequence[Record]) -> Plot:
    kinds = dict.fromkeys((step["block"], step["route"]) for step in steps)
    lines = {kind: [s for s in steps if (s["block"], s["route"]) == kind and s["change"]] for kind in kinds}
    nothing = [f"{NAMES[block]}, by {route}" for (block, route), held in lines.items() if not held]

    def draw(axes: "Axes") -> None:
        for i, ((block, route), held) in enumerate(lines.items()):
            if held:
                points = [step["rate"] for step in held], [abs(step["change"]) for step in held]
                look = "-" if route == "token" else "--"
                axes.plot(*points, color=colour(i), marker=MARKERS[i], ls=look, label=f"{NAMES[block]}, by {route}")
        axes.set_xscale("log")
        axes.set_yscale("log")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(lambda value, place: f"{value:g}")
            axis.set_minor_formatter(lambda value, place: "")
        axes.set_xlabel("length η of one step of reading")
        axes.set_ylabel("change of drawing's loss")

    unchanged = f" Exactly nothing changes for: {'; '.join(nothing)}." if nothing else ""
    return plot(
        draw,
        name="conflict-slopes",
        label="Line chart of the change of drawing's loss by the length of one step, both on log scales.",
        caption="<b>One step, in double precision,</b> by the parameters that are moved and by how the tokens of a "
        f"drawn picture's prompt are routed. Slope 1 is damage of the first order, slope 2 of the second.{unchanged}",
    )


def _of(block: str, name: str) -> Callable[[Record], Sequence[float | None]]:
    """Return what takes a series of a block from a record; a stage without that block has none."""
    return lambda record: record["series"].get(block, {}).get(name) or [None] * len(record["steps"])


def _summed(line: Line) -> Line:
    sums = accumulate(value or 0.0 for _, value in line)
    return [(x, value) for (x, _), value in zip(line, sums, strict=True)]


def _plotted(axes: "Axes", line: Line, **look: Any) -> None:
    """Draw a line with gaps where there is no value; one without any is not there."""
    if any(y is not None for _, y in line):
        axes.plot([x for x, _ in line], [float("nan") if y is None else y for _, y in line], **look)


def _steps_axis(axes: "Axes", parts: Sequence[tuple[int, Record]], axis: str) -> None:
    for start, _ in parts[1:]:
        axes.axvline(start + 0.5, color=colour("muted"), lw=0.8, ls=":")
    axes.set_xlabel("optimiser step")
    axes.set_ylabel(axis)
