"""What a run wrote, for the report: figures by test set, by task and by modality, and examples after every stage."""

from collections.abc import Mapping, Sequence
from typing import Any

from polymnia.evaluation.scores import Scores
from polymnia.report import units
from polymnia.report.folder import RunFolder, numbered

RIGHT = 3
"""Right texts that are shown of each example; the rest are counted."""
PRINTED = 100
"""By how much papers multiply CIDEr."""

Record = Mapping[str, Any]


def wrote(run: RunFolder) -> dict[str, Any]:
    """Return what of the section on texts there is.

    Returns
    -------
    dict
        `kinds`: a row for each task and modality; `tests`: a row for each test set; `examples`: for each test set its
        samples, and a row for each stage with what was written then.
    """
    found = run.scores.probes.get("examples", {})
    return {
        "kinds": [_kind(row) for row in found.get("kinds", [])],
        "tests": [_test(row) for row in found.get("tests", [])],
        "examples": examples(run.scores, run.examples),
    }


def examples(scores: Scores, records: Mapping[str, Record]) -> list[dict[str, Any]]:
    """Return for each test set: its name, a column a sample, and a row for each stage that wrote for it."""
    blocks: dict[str, dict[str, Any]] = {}
    for index, stage in enumerate(scores.stages):
        for test in records.get(stage, {}).get("tests", []):
            shown = test["samples"]
            block = blocks.setdefault(
                test["stage"],
                {"name": f"{test['task']}, {' + '.join(test['modalities'])}", "stage": test["stage"], "rows": [],
                 "samples": [{"asked": s["asked"], "right": _listed(s["references"])} for s in shown]},
            )  # fmt: skip
            cells = [{"text": s["written"] or "(nothing)", "right": s["right"]} for s in shown]
            block["rows"].append({"name": numbered(index, stage), "cells": cells, "own": stage == test["stage"]})
    return list(blocks.values())


def _kind(row: Record) -> list[str]:
    scores = [units.share(row[name]) for name in ("learned", "score")]
    return [f"{row['kind']}", row["of"], f"{row['tests']}", *scores, units.points(row["forgetting"])]


def _test(row: Record) -> list[str]:
    cider = row.get("CIDEr"), row.get("CIDEr of one reference")
    return [
        row["stage"],
        row["task"],
        f"{row['samples']:,}",
        units.share(row["score"]),
        units.share(row["exact match"]),
        *(units.plain(None if value is None else PRINTED * value, 1) for value in cider),
        units.share(row.get("BLEU-4")),
        units.share(row["ROUGE-L"]),
    ]


def _listed(texts: Sequence[str]) -> str:
    """Return the first of the different right texts, and how many more there are."""
    different = list(dict.fromkeys(texts))
    more = f" / and {len(different) - RIGHT} more" if len(different) > RIGHT else ""
    return " / ".join(different[:RIGHT]) + more
