"""The report of one run: one HTML file that needs no network."""

from dataclasses import dataclass
from datetime import UTC, datetime
from math import isnan
from pathlib import Path
from typing import Any

from polymnia.evaluation.scores import Scores
from polymnia.report import units
from polymnia.report.curves import curves
from polymnia.report.folder import RunFolder, read_run
from polymnia.report.render import flat, heat_level, render, write, written
from polymnia.report.tables import card, cost_table, data_table, rejected_rows

SECTIONS = (
    ("matrix", "What it kept"),
    ("curves", "Over the stages"),
    ("modalities", "Fewer modalities"),
    ("cost", "Cost"),
    ("data", "Data"),
    ("rejected", "Set aside"),
    ("settings", "Settings"),
    ("environment", "Environment"),
)


@dataclass(frozen=True)
class Figure:
    """One number of the head of the page."""

    name: str
    value: str
    unit: str
    says: str
    look: str = ""


def write_report(folder: Path) -> Path:
    """Write `report.html` into a run folder from what else is in it, and return its path.

    The same folder gives the same bytes. Nothing in the page is loaded from anywhere, and every value is escaped.

    Parameters
    ----------
    folder : Path
        Of a run that has scored at least one stage; it may still be under way.

    Raises
    ------
    StateError
        The folder is not a run, has no scores yet, or a file in it is damaged.
    MissingExtra
        matplotlib or jinja2 is not installed.
    """
    run = read_run(Path(folder))
    return write(render("run.html.j2", _content(run)), run.path / "report.html")


def _content(run: RunFolder) -> dict[str, Any]:
    return {
        "version": run.scores.polymnia,
        "kind": "Run",
        "title": f"{run.method} on {run.stream['name']}",
        "facts": _facts(run),
        "verdict": _verdict(run.scores),
        "under_way": _under_way(run),
        "tiles": _tiles(run.scores),
        "sections": SECTIONS,
        "matrix": _matrix(run),
        "plots": curves(run),
        "subsets": _subsets(run.scores),
        "cost": cost_table(run),
        "card": card(run),
        "data": data_table(run),
        "rejects": rejected_rows(run),
        "settings": [(name, written(value)) for name, value in flat(run.settings).items()],
        "environment": [(name, written(value)) for name, value in flat(run.environment).items()],
    }


def _facts(run: RunFolder) -> list[str]:
    facts = [run.stream["scenario"], f"{run.total_stages} stages", f"seed {run.scores.seed}", run.scores.metric]
    times = [event["time"] for event in run.events if "time" in event]
    if times:
        facts.append(f"{datetime.fromtimestamp(max(times), UTC):%d %B %Y, %H:%M} UTC".lstrip("0"))
    return facts


def _verdict(scores: Scores) -> str:
    """Say plasticity and forgetting in one breath."""
    learned, lost, final = scores.learning_accuracy, scores.forgetting, scores.final_average
    if any(isnan(value) for value in (learned, lost, final)):
        return "No test set could be scored."
    score = units.share if is_share(scores) else units.plain
    gap = f"{abs(100 * lost):.1f} points" if is_share(scores) else f"{abs(lost):.3f}"
    if len(scores.stages) == 1:
        return f"It learned its first stage to {score(learned)}; forgetting shows from the second stage on."
    change = f"has since lost {gap} of its best" if lost >= 0 else f"has since gained {gap} on its best"
    return f"It learned each stage to {score(learned)} when it came, {change}, and ends at {score(final)} over all."


def _under_way(run: RunFolder) -> str:
    if run.done:
        return ""
    return (
        f"{len(run.scores.stages)} of {run.total_stages} stages are scored so far. "
        f"Go on with: polymnia resume {run.path.name}"
    )


def is_share(scores: Scores) -> bool:
    """Whether the metric is a share, to be shown in per cent."""
    return scores.metric.startswith("accuracy")


def _tiles(scores: Scores) -> list[list[Figure]]:
    """Return the figures of the head of the page; plasticity always stands beside forgetting."""

    def level(name: str, value: float, says: str, look: str = "") -> Figure:
        if not is_share(scores):
            return Figure(name, units.plain(value), "", says, look)
        return Figure(name, units.share(value).removesuffix(" %"), "%" if not isnan(value) else "", says, look)

    def change(name: str, value: float | None, says: str, look: str = "") -> Figure:
        held = value is not None and not isnan(value)
        if not is_share(scores):
            return Figure(name, units.signed(value, 3) if held else units.NOTHING, "", says, look)
        return Figure(name, units.points(value), "points" if held else "", says, look)

    ahead = "on stages not learned yet, against the untrained model"
    if scores.forward_transfer is None:
        ahead = "not measured: evaluation.ahead is off"
    lost = level("Forgetting", scores.forgetting, "lost since the best, mean of the earlier stages", "lost")
    return [
        [
            level("Final average", scores.final_average, "all test sets, after the last stage"),
            level("Average incremental", scores.average_incremental, "mean over stages of the mean seen"),
        ],
        [
            level("Learning accuracy", scores.learning_accuracy, "plasticity: each stage when it came", "good"),
            Figure(lost.name, lost.value, "points" if lost.unit else "", lost.says, lost.look),
        ],
        [
            change("Backward transfer", scores.backward_transfer, "earlier stages: at the end against when they came"),
            change("Forward transfer", scores.forward_transfer, ahead),
        ],
    ]


def _matrix(run: RunFolder) -> dict[str, Any]:
    scores = run.scores
    held = [score for row in scores.matrix for score in row if score is not None]
    low, high = (0.0, 1.0) if is_share(scores) else (min(held, default=0.0), max(held, default=1.0))

    def text(score: float | None) -> str:
        return (units.share(score).removesuffix(" %") if is_share(scores) else units.plain(score)) or units.NOTHING

    def look(i: int, j: int, score: float | None) -> str:
        if score is None:
            return "none"
        return f"h{heat_level(score, low, high)}" + (" diagonal" if i == j else " ahead" if j > i else "")

    rows = []
    for i, (name, row) in enumerate(zip(scores.stages, scores.matrix, strict=True)):
        seen = [score for score in row[: i + 1] if score is not None]
        cells = [{"text": text(score), "look": look(i, j, score)} for j, score in enumerate(row)]
        rows.append({"name": name, "cells": cells, "mean": text(sum(seen) / len(seen) if seen else None)})
    return {
        "metric": scores.metric,
        "share": is_share(scores),
        "columns": [stage["name"] for stage in run.stream["stages"]],
        "rows": rows,
        "ahead": any(score is not None for i, row in enumerate(scores.matrix) for score in row[i + 1 :]),
        "low": text(low),
        "high": text(high),
    }


def _subsets(scores: Scores) -> list[dict[str, Any]]:
    """Return the bars: single modalities first, all together last."""
    if len(scores.per_subset) < 2:
        return []
    parts = {name: tuple(name.split("+")) for name in scores.per_subset}
    most = max(len(part) for part in parts.values())
    top = 1.0 if is_share(scores) else max((s for s in scores.per_subset.values() if s is not None), default=1.0)
    return [
        {
            "name": " + ".join(parts[name]),
            "count": units.NOTHING if (n := scores.per_subset_counts.get(name)) is None else f"{n:,}",
            "text": units.share(score) if is_share(scores) else units.plain(score),
            "width": f"{100 * max(score or 0.0, 0.0) / (top or 1.0):.1f}",
            "look": {1: "one", most: "all"}.get(len(parts[name]), "some"),
        }
        for name, score in sorted(scores.per_subset.items(), key=lambda item: (len(parts[item[0]]), parts[item[0]]))
    ]
