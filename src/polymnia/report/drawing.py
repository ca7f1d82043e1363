"""What a run drew, for the report: both kinds of forgetting beside plasticity, figures by stage, and the pictures."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from polymnia.evaluation.probing import BY_STAGE
from polymnia.evaluation.scores import Scores
from polymnia.report import units
from polymnia.report.folder import RunFolder, numbered

PROBE, INTRA = "drawing", "intra-modal"
OWN_SECTION = (PROBE, INTRA)
"""The probes whose figures are in this section."""

Record = Mapping[str, Any]
Value = float | None


def drew(run: RunFolder) -> dict[str, Any]:
    """Return what of the section on drawing there is.

    Returns
    -------
    dict
        `both`: plasticity and both kinds of forgetting, as far as measured, by stage; `stages`: rows of figures of
        what was drawn, between the host's and those of real pictures; `pictures`: the prompts, and a row of pictures
        for each stage.
    """
    return {
        "both": _both(run.scores),
        "stages": _stages(run.scores),
        "pictures": pictures(run.scores, run.drawings),
    }


def pictures(scores: Scores, records: Mapping[str, Record]) -> dict[str, Any]:
    """Return the prompts, and rows of pictures: the real ones, the host's and those after each stage; or nothing."""
    held = [(numbered(i, name), records[name]["pictures"]) for i, name in enumerate(scores.stages) if name in records]
    if not held:
        return {}
    first = held[0][1]
    rows = [
        {"name": "real", "cells": [_cell(each["real"], f"real picture for: {each['asked']}") for each in first]},
        {"name": "the host, before", "cells": [_before(each) for each in first]},
    ]
    rows += [{"name": f"after {name}", "cells": [_drawn(each, name) for each in shown]} for name, shown in held]
    return {"prompts": [each["asked"] for each in first], "rows": rows}


def _cell(picture: str, said: str, *, read: Mapping[str, str] = MappingProxyType({}), right: bool = False) -> Record:
    return {"picture": picture, "said": said, "read": ", ".join(read.values()), "right": right}


def _before(each: Record) -> Record:
    read, right = each.get("read before", {}), each.get("right before", False)  # runs before these were recorded
    return _cell(each["before"], f"drawn by the host for: {each['asked']}", read=read, right=right)


def _drawn(each: Record, stage: str) -> Record:
    said = f"drawn after {stage} for: {each['asked']}"
    return _cell(each["drawn"], said, read=each["read"], right=each["right"])


def _both(scores: Scores) -> dict[str, Any]:
    """Return the headings of what was measured, and a row for each stage."""
    shown = [column for column in BOTH if scores.probes.get(column[1])]
    if not shown:
        return {}

    def text(stage: int, probe: str, figure: str, form: Callable[[Value], str]) -> str:
        return form(_at(scores.probes[probe].get(f"{figure}{BY_STAGE}", []), stage))

    rows = [
        [numbered(i, name), *(text(i, probe, figure, form) for _, probe, figure, form in shown)]
        for i, name in enumerate(scores.stages)
    ]
    return {"head": [heading for heading, *_ in shown], "rows": rows}


def _stages(scores: Scores) -> list[list[str]]:
    """Return the figures of drawing: before any stage, after each, and of real pictures."""
    found = scores.probes.get(PROBE, {})
    if not found:
        return []
    fixed = {suffix: {name: found.get(f"{name} {suffix}") for name in SHOWN} for suffix in OF}
    stages = [
        (numbered(i, name), {figure: _at(found.get(f"{figure}{BY_STAGE}", []), i) for figure in SHOWN})
        for i, name in enumerate(scores.stages)
    ]
    rows = [(OF["before"], fixed["before"]), *stages, *((OF[name], fixed[name]) for name in ("of codes", "of real"))]
    return [[name, *_texts(row)] for name, row in rows]


OF = {
    "before": "the host, before",
    "of codes": "real pictures, from the host's codes",
    "of real": "real pictures",
}
SHOWN = (
    "NLL", "agreement", "Frechet", "Frechet low", "Frechet high", "kernel distance", "diversity", "image alignment",
    "unchanged",
)  # fmt: skip


def _texts(row: Mapping[str, Value]) -> list[str]:
    low, high = row["Frechet low"], row["Frechet high"]
    between = "" if low is None or high is None else f" ({units.plain(low, 1)} to {units.plain(high, 1)})"
    return [
        units.plain(row["NLL"]),
        units.share(row["agreement"]),
        units.plain(row["Frechet"], 1) + between,
        units.plain(row["kernel distance"], 4),
        units.plain(row["diversity"], 2),
        units.plain(row["image alignment"]),
        units.share(row["unchanged"]),
    ]


def _at(values: Sequence[Value], stage: int) -> Value:
    return values[stage] if stage < len(values) else None


def _signed(value: Value) -> str:
    return units.NOTHING if value is None else units.signed(value, 3)


BOTH: tuple[tuple[str, str, str, Callable[[Value], str]], ...] = (
    ("learned", INTRA, "learned", units.share),
    ("accuracy", INTRA, "accuracy", units.share),
    ("intra-modal forgetting, points", INTRA, "forgetting", units.points),
    ("inter-modal: NLL, nats per code", PROBE, "NLL change", _signed),
    ("inter-modal: agreement, points", PROBE, "agreement change", units.points),
)
"""Plasticity beside both kinds of forgetting: heading, probe, figure and form."""
