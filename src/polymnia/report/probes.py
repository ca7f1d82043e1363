"""What probes measured, for the report: figures by name, the use of experts as heat maps, and shared spaces."""

from typing import Any

from polymnia.evaluation.scores import Scores
from polymnia.report import units
from polymnia.report.drawing import OWN_SECTION
from polymnia.report.folder import numbered
from polymnia.report.render import heat_level
from polymnia.report.spaces import certificates, pairs_table, paths_table, space_plots, transfer_table


def probed(scores: Scores) -> dict[str, Any]:
    """Return what of the probes' section there is.

    Returns
    -------
    dict
        `figures`: rows of name and value; `blocks`: one heat map of the use of experts each; `transfer`, `pairs`,
        `paths` and `certificates`: tables of a shared space; `plots`: its curves.

    Raises
    ------
    MissingExtra
        matplotlib is not installed, and there are curves to draw.
    """
    figures = [
        (f"{probe}, {name}", units.plain(value))
        for probe, found in scores.probes.items()
        if probe not in ("examples", *OWN_SECTION)  # they have sections of their own
        for name, value in found.items()
        if isinstance(value, int | float)
    ]
    usage = scores.probes.get("experts", {}).get("usage", [])
    return {
        "figures": figures,
        "blocks": _blocks(usage, scores.stages),
        "plots": space_plots(scores),
        "transfer": transfer_table(scores),
        "pairs": pairs_table(scores),
        "paths": paths_table(scores),
        "certificates": certificates(scores),
    }


def _blocks(usage: list[list[list[float]]], stages: list[str]) -> list[dict[str, Any]]:
    """Return for each block its table: rows are stages, columns experts, cells the share of the stage's use."""
    blocks = []
    for block in range(len(usage[-1]) if usage else 0):
        experts = len(usage[-1][block])  # the last stage has all there are: they are never taken away
        rows = []
        for i, stage in enumerate(usage):
            total = sum(stage[block]) or 1.0
            shares = [weight / total for weight in stage[block]]
            cells = [{"text": units.share(s).removesuffix(" %"), "look": f"h{heat_level(s, 0.0, 1.0)}"} for s in shares]
            cells += [{"text": units.NOTHING, "look": "none"}] * (experts - len(shares))
            rows.append({"name": numbered(i, stages[i]), "cells": cells})
        blocks.append({"name": f"block {block + 1}", "experts": experts, "rows": rows})
    return blocks
