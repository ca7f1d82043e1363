"""What a comparison holds: groups of runs, what differs between them, and what was not matched."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from polymnia.evaluation.statistics import CONFIDENCE, mean_interval
from polymnia.report.grouping import Group
from polymnia.report.text import aligned, change, mean
from polymnia.report.units import probability, seconds

FIGURES = {
    "final_average": "final average",
    "average_incremental": "average incremental",
    "forgetting": "forgetting",
    "learning_accuracy": "learning accuracy",
}
"""What is compared and paired, with its name for people; plasticity stands beside forgetting."""

TEXTS = ("caption score", "answer score")
"""Figures of the probe `examples` that are shown where runs have them: means over tasks would mix their metrics."""

COSTS = {
    "trainable_parameters": "trainable parameters",
    "memory_bytes": "memory of the method",
    "steps": "optimiser steps",
}
"""What must be alike for a comparison to be about the methods."""

MORE_COSTS = ("seconds", "samples", "flops", "peak_memory_bytes", "disk_bytes")

TOLERANCE = 0.05


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A figure over the seeds of a group; no half width for one seed."""

    mean: float
    half_width: float | None
    values: tuple[float, ...]

    @property
    def n(self) -> int:
        """The number of seeds."""
        return len(self.values)


def summary(values: Sequence[float]) -> Summary:
    """Return the mean over seeds and its interval."""
    mean, half_width = mean_interval(values)
    return Summary(mean=mean, half_width=half_width, values=tuple(values))


@dataclass(frozen=True, kw_only=True)
class Compared:
    """A group and its figures; a figure that no run has is not there."""

    group: Group
    figures: dict[str, Summary]
    baseline: str | None
    """The label of the group that this one is paired with."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A figure of a group minus the baseline's, over the seeds that both have."""

    label: str
    baseline: str
    figure: str
    n: int
    difference: float
    half_width: float | None
    p: float | None
    p_adjusted: float | None = None
    """By Holm, over the groups compared with one baseline in this figure."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Groups of runs, what differs between them, and what a reader must know before believing it."""

    groups: tuple[Compared, ...]
    differences: tuple[Difference, ...]
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON; null where one seed gives no interval and no test."""
        return {
            "confidence": CONFIDENCE,
            "groups": [
                {
                    "label": each.group.label,
                    "method": each.group.method,
                    "stream": each.group.stream_name,
                    "settings": each.group.settings,
                    "seeds": list(each.group.seeds),
                    "n": len(each.group.runs),
                    "runs": [run.path.name for run in each.group.runs.values()],
                    "baseline": each.baseline,
                    "figures": {
                        name: {"mean": s.mean, "half_width": s.half_width, "n": s.n, "values": list(s.values)}
                        for name, s in each.figures.items()
                    },
                }
                for each in self.groups
            ],
            "differences": [dict(vars(difference)) for difference in self.differences],
            "warnings": list(self.warnings),
        }

    def text(self) -> str:
        """Return the tables of means and of paired differences, then the warnings, to print."""
        parts = ["Mean ± 95 % interval over seeds (n = 1: no interval).\n" + self._means()]
        if self.differences:
            parts.append("Paired over the same seeds, two-sided t-test.\n" + self._pairs())
        if self.warnings:
            parts.append("\n".join(f"warning: {line}" for line in self.warnings))
        return "\n\n".join(parts)

    def names(self) -> dict[str, str]:
        """Return the figures to show, and their names for people."""
        more = [name for name in ("intransigence", *TEXTS) if any(name in each.figures for each in self.groups)]
        return {**FIGURES, **{name: name for name in more}}

    def _means(self) -> str:
        rows = []
        for each in self.groups:
            figures = [mean(each.figures.get(name)) for name in self.names()]
            rows.append([each.group.label, str(len(each.group.runs)), *figures, seconds(each.figures["seconds"].mean)])
        return aligned(["group", "n", *self.names().values(), "time"], rows, words=1)

    def _pairs(self) -> str:
        rows = [
            [d.label, d.baseline, FIGURES[d.figure], str(d.n), change(d), probability(d.p), probability(d.p_adjusted)]
            for d in self.differences
        ]
        return aligned(["group", "minus", "figure", "n", "difference", "p", "p (Holm)"], rows, words=3)
