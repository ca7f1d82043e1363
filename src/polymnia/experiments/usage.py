"""The use of experts as an SVG file: for each method and block, how a stage's use is shared among experts."""

import hashlib
import inspect
import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from polymnia.experiments.plots import svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Shares = Mapping[str, Sequence[Sequence[Sequence[float]]]]
"""Method → stages → blocks → experts."""


def used(results: Mapping[str, Any], stream: str) -> dict[str, list[list[list[float]]]]:
    """Return the use of experts of each method that counted it, in the run of the first seed.

    Experts are drawn anew for each seed, so a mean over seeds would say nothing.
    """
    first = results["seeds"][0]
    return {
        run["method"]: usage
        for run in results["runs"]
        if run["stream"] == stream
        and run["seed"] == first
        and (usage := run.get("probes", {}).get("experts", {}).get("usage"))
    }


def seal(stream: str, usage: Shares) -> str:
    """Return what identifies a picture: the digest of its figures and of the code that draws them."""
    code = inspect.getsource(sys.modules[__name__])
    return hashlib.sha256(json.dumps([stream, usage, code], sort_keys=True).encode()).hexdigest()


def draw(stream: str, usage: Shares) -> str:
    """Return the picture as an SVG file: a row of heat maps for each method, one for each block."""
    blocks = max(len(stages[-1]) for stages in usage.values())
    most = max(len(stages) for stages in usage.values())

    def fill(figure: "Figure") -> None:
        grid = figure.subplots(len(usage), blocks, squeeze=False)
        for row, (method, counted) in zip(grid, usage.items(), strict=True):
            for block, axes in enumerate(row):
                if block < len(counted[-1]):
                    _block(axes, method, counted, block)
                else:
                    axes.set_axis_off()
        figure.suptitle(f"{stream}: share of each expert in a stage's use (white 0, dark 1)")

    size = (max(4.0, 2.4 * blocks + 1.0), (0.22 * most + 0.7) * len(usage) + 0.3)
    return svg(size, sealed=seal(stream, usage), fill=fill)


def _block(axes: "Axes", method: str, counted: Sequence[Sequence[Sequence[float]]], block: int) -> None:
    experts = len(counted[-1][block])
    axes.imshow(_shares(counted, block), cmap="BuGn", vmin=0.0, vmax=1.0, aspect="auto")
    axes.set_title(f"{method}, block {block + 1}", fontsize=8)
    axes.set_xlabel("expert", fontsize=7)
    axes.set_ylabel("stage", fontsize=7)
    axes.set_xticks(range(experts), [str(expert + 1) for expert in range(experts)], fontsize=6)
    axes.set_yticks(range(len(counted)), [str(stage + 1) for stage in range(len(counted))], fontsize=6)
    axes.tick_params(length=0)


def _shares(counted: Sequence[Sequence[Sequence[float]]], block: int) -> list[list[float]]:
    experts = len(counted[-1][block])
    rows = []
    for stage in counted:
        total = sum(stage[block]) or 1.0
        rows.append([weight / total for weight in stage[block]] + [0.0] * (experts - len(stage[block])))
    return rows
