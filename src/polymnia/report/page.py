"""The report of one run: one HTML file that needs no network."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from polymnia.evaluation.scores import BETWEEN, Scores
from polymnia.evaluation.scores import is_share as is_share_of
from polymnia.report import metrics, units
from polymnia.report.conflict import conflict_plots
from polymnia.report.curves import curves
from polymnia.report.drawing import drew
from polymnia.report.folder import RunFolder, numbered, read_run
from polymnia.report.headline import is_share, tiles, verdict
from polymnia.report.probes import probed
from polymnia.report.render import flat, heat_level, render, write, written
from polymnia.report.tables import card, cost_table, data_table, rejected_rows
from polymnia.report.writing import wrote

SECTIONS = (
    ("matrix", "What it kept"),
    ("curves", "Over the stages"),
    ("texts", "What it wrote"),
    ("drawings", "What it drew"),
    ("modalities", "Fewer modalities"),
    ("probes", "Inside the model"),
    ("cost", "Cost"),
    ("data", "Data"),
    ("rejected", "Set aside"),
    ("settings", "Settings"),
    ("environment", "Environment"),
)


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
    probes, texts, drawings = probed(run.scores), wrote(run), drew(run)
    probes["plots"] = [*probes["plots"], *conflict_plots(run)]
    may_lack = {"probes": probes, "texts": texts, "drawings": drawings}
    left_out = {name for name, found in may_lack.items() if not any(found.values())}
    return {
        "version": run.scores.polymnia,
        "kind": "Run",
        "title": f"{run.method} on {run.stream['name']}",
        "facts": _facts(run),
        "verdict": verdict(run.scores),
        "under_way": _under_way(run),
        "tiles": tiles(run.scores),
        "mixed": BETWEEN in run.scores.metric,
        "sections": [(name, title) for name, title in SECTIONS if name not in left_out],
        "matrix": _matrix(run),
        "plots": curves(run),
        "texts": texts,
        "drawings": drawings,
        "subsets": _subsets(run.scores),
        "probes": probes,
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


def _under_way(run: RunFolder) -> str:
    if run.done:
        return ""
    return (
        f"{len(run.scores.stages)} of {run.total_stages} stages are scored so far. "
        f"Go on with: polymnia resume {run.path.name}"
    )


def _matrix(run: RunFolder) -> dict[str, Any]:
    scores = run.scores
    named, scales = metrics.columns(run), _scales(run)

    def text(score: float | None, metric: str = scores.metric) -> str:
        return units.share(score).removesuffix(" %") if is_share_of(metric) else units.plain(score)

    def look(i: int, j: int, score: float | None) -> str:
        if score is None:
            return "none"
        return f"h{heat_level(score, *scales[named[j]])}" + (" diagonal" if i == j else " ahead" if j > i else "")

    names = [stage["name"] for stage in run.stream["stages"]]
    by_number = max(map(len, names)) > 12 or len(names) > 8
    rows = []
    for i, (name, row) in enumerate(zip(scores.stages, scores.matrix, strict=True)):
        seen = [score for score in row[: i + 1] if score is not None]
        cells = [{"text": text(score, named[j]), "look": look(i, j, score)} for j, score in enumerate(row)]
        rows.append(
            {
                "name": numbered(i, name) if by_number else name,
                "cells": cells,
                "mean": text(sum(seen) / len(seen) if seen else None),
            }
        )
    return {
        "metric": scores.metric,
        "share": is_share(scores),
        "columns": [{"name": name, "metric": metric} for name, metric in zip(names, named, strict=True)],
        "notes": [metrics.NOTES[metric] for metric in scales if metric in metrics.NOTES],
        "by_number": by_number,
        "rows": rows,
        "ahead": any(score is not None for i, row in enumerate(scores.matrix) for score in row[i + 1 :]),
        "scales": [
            {"metric": metric if len(scales) > 1 else "", "low": text(low, metric), "high": text(high, metric)}
            for metric, (low, high) in scales.items()
        ],
    }


def _scales(run: RunFolder) -> dict[str, tuple[float, float]]:
    """Return metric → from where to where its columns are coloured."""
    held: dict[str, list[float]] = {}
    for j, metric in enumerate(metrics.columns(run)):
        found = [row[j] for row in run.scores.matrix]
        held.setdefault(metric, []).extend(score for score in found if score is not None)
    return {metric: metrics.scale(metric, scores) for metric, scores in held.items()}


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
