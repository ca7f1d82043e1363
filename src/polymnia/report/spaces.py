"""What the probes of a shared space measured, for the report: curves by stage, the transfer matrix, certificates."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from polymnia.evaluation.scores import Scores
from polymnia.report import units
from polymnia.report.folder import numbered
from polymnia.report.plots import MARKERS, Plot, colour, per_cent, plot, whole
from polymnia.report.render import heat_level

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BY_STAGE = " by stage"
Lines = Mapping[str, list[float | None]]


def space_plots(scores: Scores) -> list[Plot]:
    """Return the fixed probe beside what each stage learned, and retrieval by stage, as far as they were measured.

    Raises
    ------
    MissingExtra
        matplotlib is not installed.
    """
    fixed, transfer, pairs = (scores.probes.get(name, {}) for name in ("fixed", "transfer", "pairs"))
    kept = _lines(fixed, {"fixed": "fixed probe, its own modality", "fixed mediator": "fixed probe, the mediator"})
    learned = _lines(transfer, {"seen": "transfer, pairs that met", "unseen": "transfer, pairs that never met"})
    found = _lines(pairs, {"seen R@10": "pairs that met", "unseen R@10": "pairs that never met"})
    drawn = []
    if kept:
        drawn.append(
            _curves(
                kept | learned,
                name="fixed-probe",
                axis="accuracy of a linear probe",
                label="Line chart of the fixed probe and of transfer after each stage.",
                caption="<b>Retention beside plasticity.</b> The fixed probe was fitted once, after the first stage: "
                "it falls as far as the space forgets. The probes of transfer are fitted anew after each stage.",
            )
        )
    if found:
        new = [row[i] for i, row in enumerate(scores.matrix)] if "retrieval" in scores.metric else []
        beside = {"the stage just learned": new} if new and len(new) == len(next(iter(found.values()))) else {}
        drawn.append(
            _curves(
                found | beside,
                name="retrieval",
                axis="retrieval R@10",
                label="Line chart of retrieval between modalities after each stage.",
                caption="<b>Retrieval between every two modalities,</b> mean of both ways; among the test samples that "
                "have both.",
            )
        )
    return drawn


def transfer_table(scores: Scores) -> dict[str, Any]:
    """Return the transfer matrix as a heat table; empty where it was not measured."""
    found = scores.probes.get("transfer", {})
    names, matrix = found.get("modalities", []), found.get("matrix", [])
    rows = [
        {"name": name, "cells": [_cell(value, i == j) for j, value in enumerate(row)]}
        for i, (name, row) in enumerate(zip(names, matrix, strict=True))
    ]
    return {"columns": names, "rows": rows} if rows else {}


def pairs_table(scores: Scores) -> list[list[str]]:
    """Return a row for each ordered pair of modalities: recalls and median rank."""
    rows = scores.probes.get("pairs", {}).get("table", [])
    return [
        [f"{row['from']} → {row['to']}", "yes" if row["seen"] else "never", f"{row['samples']:,}",
         *(units.share(row[f"R@{k}"]) for k in (1, 5, 10)), units.plain(row["median rank"], 1)]
        for row in rows
    ]  # fmt: skip


def paths_table(scores: Scores) -> list[list[str]]:
    """Return a row for each earlier stage and ordered pair: retrieval on that stage's paths, and whether it stayed."""
    rows = scores.probes.get("paths", {}).get("table", [])
    return [
        [f"{row['from']} → {row['to']}", row["stage"], "unchanged to the last bit" if row["identical"] else "changed",
         f"{row['samples']:,}", *(units.share(row[name]) for name in ("R@10 then", "R@10", "R@10 newest"))]
        for row in rows
        if row["identical"] is not None
    ]  # fmt: skip


def certificates(scores: Scores) -> dict[str, Any]:
    """Return whether each modality's old outputs were unchanged after each stage; empty where it was not measured.

    A cell is of all that was kept of a modality at earlier stages.
    """
    found = scores.probes.get("certificates", {})
    lists = {m.removesuffix(BY_STAGE): values for m, values in found.items() if m.endswith(BY_STAGE)}
    names = sorted(name.removeprefix("identical ") for name in lists if name.startswith("identical "))
    rows = []
    for i, stage in enumerate(scores.stages):
        cells = [_certified(lists, name, i) for name in names]
        if any(cell["text"] != units.NOTHING for cell in cells):
            rows.append({"name": numbered(i, stage), "cells": cells})
    return {"columns": names, "rows": rows} if rows else {}


def _certified(lists: Lines, modality: str, stage: int) -> dict[str, str]:
    def at(name: str) -> float | None:
        values = lists.get(f"{name} {modality}", [])
        return values[stage] if stage < len(values) else None

    same, codes, change = at("identical"), at("codes identical"), at("change")
    if same is None:
        return {"text": units.NOTHING, "look": "none"}
    if same and codes != 0.0:
        return {"text": "unchanged to the last bit", "look": "h20"}
    by = "" if same or change is None else f"moved by up to {change:.2g}"
    coded = "" if codes is None else ("codes the same" if codes else "codes changed")
    return {"text": ", ".join(part for part in (by, coded) if part) or "changed", "look": "h0"}


def _cell(value: float | None, diagonal: bool) -> dict[str, str]:
    if value is None:
        return {"text": units.NOTHING, "look": "none"}
    look = f"h{heat_level(value, 0.0, 1.0)}" + (" diagonal" if diagonal else "")
    return {"text": units.share(value).removesuffix(" %"), "look": look}


def _lines(found: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, list[float | None]]:
    return {shown: found[f"{name}{BY_STAGE}"] for name, shown in names.items() if f"{name}{BY_STAGE}" in found}


def _curves(lines: Lines, *, name: str, axis: str, label: str, caption: str) -> Plot:
    def draw(axes: "Axes") -> None:
        for i, (shown, values) in enumerate(lines.items()):
            held = [(stage + 1, value) for stage, value in enumerate(values) if value is not None]
            axes.plot([x for x, _ in held], [y for _, y in held], color=colour(i), marker=MARKERS[i], label=shown)
        axes.set_xlabel("after stage")
        axes.set_ylabel(axis)
        axes.set_ylim(-0.03, 1.03)
        whole(axes.xaxis)
        per_cent(axes.yaxis)

    return plot(draw, name=name, label=label, caption=caption)
