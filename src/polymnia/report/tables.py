"""The tables of a run's report: cost, data card, counts, and what was set aside."""

from collections.abc import Sequence
from typing import Any

from polymnia.report import units
from polymnia.report.folder import SHOWN, RunFolder

Table = dict[str, Any]


def cost_table(run: RunFolder) -> Table:
    """Return what each stage cost, in units a reader knows, and the totals."""
    costs = run.scores.cost
    counted = run.settings.get("trainer", {}).get("count_flops", True)
    rows = [
        [
            cost.stage,
            units.seconds(cost.train_seconds),
            units.seconds(cost.evaluate_seconds),
            units.amount(cost.samples_per_second),
            f"{cost.steps:,}",
            units.amount(cost.trainable_parameters),
            units.amount(cost.added_parameters),
            units.size(cost.memory_bytes),
            units.size(cost.disk_bytes),
            units.size(cost.peak_memory_bytes),
            units.amount(cost.flops if counted else None, "FLOP"),
        ]
        for cost in costs
    ]
    seconds = sum(cost.train_seconds for cost in costs)
    footer = [
        "whole run",
        units.seconds(seconds),
        units.seconds(sum(cost.evaluate_seconds for cost in costs)),
        units.amount(sum(cost.samples for cost in costs) / seconds if seconds else None),
        f"{sum(cost.steps for cost in costs):,}",
        units.NOTHING,
        units.amount(sum(cost.added_parameters for cost in costs)),
        units.NOTHING,
        units.size(sum(cost.disk_bytes for cost in costs)),
        units.size(max(cost.peak_memory_bytes for cost in costs)),
        units.amount(sum(cost.flops for cost in costs) if counted else None, "FLOP"),
    ]
    return {
        "header": ["stage", "training", "scoring", "samples / s", "steps", "trainable parameters", "added parameters",
                   "memory of the method", "on disk", "peak memory", "training FLOPs"],
        "rows": rows,
        "footer": footer,
        "caption": "Per stage. Peak memory is the process's highest so far; FLOPs are those of the stage's second step "
                   f"times its steps. The model ends with {units.amount(costs[-1].total_parameters)} parameters.",
    }  # fmt: skip


def card(run: RunFolder) -> list[tuple[str, str, str]]:
    """Return the data card as (name, text, link); only web addresses become links."""
    told = run.stream["card"]
    home = str(told.get("homepage") or "")
    rows = [
        ("Title", str(told.get("title") or run.stream["name"]), ""),
        ("Licence", str(told.get("licence") or "not stated"), ""),
        ("Citation", str(told.get("citation") or "not stated"), ""),
        ("Home page", home, home if home.startswith(("https://", "http://")) else ""),
        ("Notes", str(told.get("notes") or ""), ""),
        ("Modalities", ", ".join(f"{m} ({kind})" for m, kind in sorted(run.stream.get("kinds", {}).items())), ""),
    ]
    return [row for row in rows if row[1]]


def data_table(run: RunFolder) -> Table:
    """Return how many samples each stage and split has, and its classes and modalities."""
    names = run.stream.get("class_names", [])
    stages = run.stream["stages"]
    splits = ("train", "valid", "test")
    return {
        "header": ["stage", "modalities", "classes", "train", "validation", "test"],
        "rows": [
            [stage["name"], ", ".join(stage["modalities"]), _listed([str(names[c]) for c in stage["classes"]]),
             *(f"{stage[split]:,}" for split in splits)]
            for stage in stages
        ],
        "footer": ["all stages", "", f"{len(names)} classes",
                   *(f"{sum(stage[split] for stage in stages):,}" for split in splits)],
        "caption": "Samples of each stage; splits share no sample and no group.",
    }  # fmt: skip


def rejected_rows(run: RunFolder) -> Table:
    """Return what was set aside: how many, the reasons, and the first rows."""
    told = run.rejects
    more = f" of {told.count:,}; all are in rejected.jsonl" if told.count > SHOWN else ""
    return {
        "count": told.count,
        "reasons": [[reason, f"{count:,}"] for reason, count in told.reasons],
        "first": [[row[name] for name in ("id", "modality", "value", "reason")] for row in told.first],
        "caption": f"The first {len(told.first)}{more}" if more else "Which",
    }


def _listed(names: Sequence[str], most: int = 8) -> str:
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
