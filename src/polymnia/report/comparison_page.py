"""A comparison as one HTML page, in the style of a run's report."""

import os
from pathlib import Path
from typing import Any

from polymnia import __version__
from polymnia.evaluation.scores import is_share
from polymnia.evaluation.statistics import CONFIDENCE
from polymnia.report import units
from polymnia.report.comparison import COSTS, FIGURES, MORE_COSTS, Compared, Comparison, Difference, Summary
from polymnia.report.comparison_plots import comparison_plots
from polymnia.report.render import flat, render, written

SECTIONS = (
    ("figures", "Figures"),
    ("means", "Means"),
    ("paired", "Paired differences"),
    ("cost", "Cost"),
    ("settings", "Settings"),
    ("runs", "Runs"),
)
COST_NAMES = {
    **COSTS,
    "seconds": "time",
    "samples": "training samples",
    "flops": "training FLOPs",
    "peak_memory_bytes": "peak memory",
    "disk_bytes": "on disk",
}


def page(comparison: Comparison, folder: Path) -> str:
    """Return the page; see `content`.

    Raises
    ------
    MissingExtra
        matplotlib or jinja2 is not installed.
    """
    return render("comparison.html.j2", content(comparison, folder))


def content(comparison: Comparison, folder: Path) -> dict[str, Any]:
    """Return what the page shows; `folder` is where it will lie, for links to the runs' own reports.

    Raises
    ------
    MissingExtra
        matplotlib is not installed.
    """
    groups = comparison.groups
    share = all(is_share(str(each.group.settings["metric"])) for each in groups)
    streams = list(dict.fromkeys(each.group.stream_name for each in groups))
    return {
        "version": __version__,
        "kind": "Comparison",
        "title": f"{_listed([each.group.label for each in groups])}",
        "facts": [*streams, _seeds(groups), *dict.fromkeys(each.group.settings["metric"] for each in groups)],
        "warnings": comparison.warnings,
        "sections": SECTIONS,
        "plots": comparison_plots(comparison, share=share),
        "means": _means(comparison, share=share),
        "paired": {"header": list(FIGURES.values()), "rows": _paired(comparison, share=share)},
        "single": [each.group.label for each in groups if len(each.group.runs) == 1],
        "cost": _cost(groups),
        "settings": _settings(groups),
        "runs": [
            {"name": run.path.name, "group": each.group.label, "seed": seed, "link": _link(run.path, folder)}
            for each in groups
            for (seed, _), run in each.group.runs.items()
        ],
    }


def _listed(labels: list[str]) -> str:
    if len(labels) > 5:
        return f"{len(labels)} groups of runs"
    return labels[0] if len(labels) == 1 else f"{', '.join(labels[:-1])} and {labels[-1]}"


def _seeds(groups: tuple[Compared, ...]) -> str:
    counts = sorted({len(each.group.runs) for each in groups})
    if counts == [1]:
        return "1 seed"
    return f"{counts[0]} seeds" if len(counts) == 1 else f"{counts[0]} to {counts[-1]} seeds"


def _means(comparison: Comparison, *, share: bool) -> dict[str, Any]:
    names = comparison.names()
    best = {}
    for name in names:
        held = [each.figures[name].mean for each in comparison.groups if name in each.figures]
        best[name] = (min if name in ("forgetting", "intransigence") else max)(held, default=None)
    rows = []
    for each in comparison.groups:
        found = [each.figures.get(name) for name in names]
        cells = [
            {
                "text": _mean(s, share=share),
                "best": s is not None and s.mean == best[name] and len(comparison.groups) > 1,
            }
            for name, s in zip(names, found, strict=True)
        ]
        rows.append({"label": each.group.label, "n": len(each.group.runs), "cells": cells})
    return {"header": list(names.values()), "rows": rows, "unit": "per cent" if share else ""}


def _mean(summary: Summary | None, *, share: bool) -> str:
    if summary is None:
        return units.NOTHING
    scale, digits = (100, 1) if share else (1, 3)
    half = "" if summary.half_width is None else f" ± {scale * summary.half_width:.{digits}f}"
    return units.plain(scale * summary.mean, digits) + half


def _paired(comparison: Comparison, *, share: bool) -> list[dict[str, Any]]:
    """Return a row for each group, with a cell for each figure."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for each in comparison.differences:
        blank = {"label": each.label, "baseline": each.baseline, "cells": dict.fromkeys(FIGURES)}
        row = rows.setdefault((each.label, each.baseline), blank)
        row["cells"][each.figure] = _difference(each, share=share)
    return list(rows.values())


def _difference(each: Difference, *, share: bool) -> dict[str, Any]:
    scale, digits = (100, 1) if share else (1, 3)
    half = "" if each.half_width is None else f" ± {scale * each.half_width:.{digits}f}"
    test = f"p {units.probability(each.p)}, Holm {units.probability(each.p_adjusted)}"
    return {
        "text": units.signed(scale * each.difference, digits) + half,
        "test": f"n = {each.n}" if each.p is None else f"n = {each.n}, {test}",
        "evident": each.p_adjusted is not None and each.p_adjusted < 1 - CONFIDENCE,
    }


def _cost(groups: tuple[Compared, ...]) -> dict[str, Any]:
    names = (*COSTS, *MORE_COSTS)
    return {
        "header": ["group", *(COST_NAMES[name] for name in names)],
        "rows": [[each.group.label, *(_amount(name, each.figures[name].mean) for name in names)] for each in groups],
    }


def _amount(name: str, value: float) -> str:
    if name == "seconds":
        return units.seconds(value)
    if name.endswith("bytes"):
        return units.size(value)
    return units.amount(round(value), "FLOP" if name == "flops" else "")


def _settings(groups: tuple[Compared, ...]) -> dict[str, Any]:
    """Return a row for each setting in which the groups differ, and the settings that all share."""
    flats = [flat(each.group.settings) for each in groups]
    names = list(dict.fromkeys(name for each in flats for name in each))
    values = {name: [written(each[name]) if name in each else units.NOTHING for each in flats] for name in names}
    return {
        "header": ["setting", *(each.group.label for each in groups)],
        "differ": [[name, *held] for name, held in values.items() if len(set(held)) > 1],
        "same": [(name, held[0]) for name, held in values.items() if len(set(held)) == 1],
    }


def _link(run: Path, folder: Path) -> str:
    report = run / "report.html"
    return Path(os.path.relpath(report, folder.resolve())).as_posix() if report.is_file() else ""
