"""What doing an experiment returns: its results, where they are, and how they read on a terminal."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Outcome:
    """The results of an experiment, and the file they are in."""

    results: dict[str, Any]
    path: Path

    def text(self) -> str:
        """Return the means and the verdicts as lines for a terminal."""
        held = self.results
        lines = [
            line for stream, methods in held["means"].items() for line in (*_table(stream, methods), "") if methods
        ]
        lines += [f"{stream} was left out: {why}" for stream, why in held["missing"].items()]
        lines += [f"{claim['verdict']:>13}  {claim['id']}" for claim in held["claims"]]
        kind = "partial results" if held["partial"] else "results" if held["complete"] else "unfinished results"
        return "\n".join((*lines, f"{kind}: {self.path}"))


def _table(stream: str, methods: Mapping[str, Any]) -> list[str]:
    shown = ("final_average", "forgetting", "learning_accuracy")
    width = max((len(name) for name in (stream, *methods)), default=0)
    head = f"{stream:<{width}}" + "".join(f"{name.replace('_', ' '):>20}" for name in shown)
    return [head] + [
        f"{label:<{width}}" + "".join(f"{_with_interval(figures.get(name)):>20}" for name in shown)
        for label, figures in methods.items()
    ]


def _with_interval(given: Mapping[str, Any] | None) -> str:
    if given is None:
        return "–"
    half = given["half_width"]
    return f"{given['mean']:.3f}" + ("" if half is None else f" ± {half:.3f}")
