"""The use of experts as an SVG file: for each method and block, how a stage's use is shared among experts."""

import hashlib
import inspect
import io
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from polymnia.errors import MissingExtra
from polymnia.experiments.plots import SETTINGS

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
    """Return the picture as an SVG file: a row of heat maps for each method, one for each block.

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
    blocks = max(len(stages[-1]) for stages in usage.values())
    stages = max(len(stages) for stages in usage.values())
    written = io.StringIO()
    with rc_context(SETTINGS):
        height = (0.22 * stages + 0.7) * len(usage) + 0.3
        figure = Figure(figsize=(max(4.0, 2.4 * blocks + 1.0), height), layout="constrained", facecolor="white")
        grid = figure.subplots(len(usage), blocks, squeeze=False)
        for row, (method, counted) in zip(grid, usage.items(), strict=True):
            for block, axes in enumerate(row):
                if block >= len(counted[-1]):
                    axes.set_axis_off()
                    continue
                axes.imshow(_shares(counted, block), cmap="BuGn", vmin=0.0, vmax=1.0, aspect="auto")
                axes.set_title(f"{method}, block {block + 1}", fontsize=8)
                axes.set_xlabel("expert", fontsize=7)
                axes.set_ylabel("stage", fontsize=7)
                axes.set_xticks(range(len(counted[-1][block])), range(1, len(counted[-1][block]) + 1), fontsize=6)
                axes.set_yticks(range(len(counted)), range(1, len(counted) + 1), fontsize=6)
                axes.tick_params(length=0)
        figure.suptitle(f"{stream}: share of each expert in a stage's use (white 0, dark 1)")
        figure.savefig(written, format="svg", metadata={"Date": None, "Description": f"sealed {seal(stream, usage)}"})
    return written.getvalue()


def _shares(counted: Sequence[Sequence[Sequence[float]]], block: int) -> list[list[float]]:
    experts = len(counted[-1][block])
    rows = []
    for stage in counted:
        total = sum(stage[block]) or 1.0
        rows.append([weight / total for weight in stage[block]] + [0.0] * (experts - len(stage[block])))
    return rows
