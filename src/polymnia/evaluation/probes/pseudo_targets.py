"""`pseudo-targets`: what became of the targets that a method made up itself."""

from typing import Any

from polymnia.data.stage import Stage, Stream
from polymnia.evaluation.probes.base import Figures, Probe, register
from polymnia.methods.base import Method


@register("pseudo-targets")
class PseudoTargets(Probe):
    """Figures of the targets that were made for a stage, before anything was trained on them; none without such.

    `made`: for how many inputs a target was asked. `dropped`: the share of these that has none, because it failed the
    method's own filter. `right`: of the samples whose truth is known and that have a target, the share with exactly the
    right one. `wrong`: how many samples' targets were replaced by wrong ones on purpose, afterwards.

    What is kept of a stage: the counts by reason, and some examples with the truth beside them where it is known.
    """

    each = True

    def __init__(self) -> None:
        self._record: dict[str, Any] | None = None

    def measure(self, method: Method, stream: Stream, stage: Stage) -> Figures:
        """Return the stage's figures, as the method recorded them."""
        records: list[dict[str, Any]] = getattr(method, "records", [])
        self._record = next((record for record in records if record["stage"] == stage.index), None)
        if self._record is None:
            return {}
        made, dropped, checked = (self._record[name] for name in ("inputs", "dropped", "checked"))
        figures = {
            "made": float(made),
            "dropped": sum(dropped.values()) / made,
            "wrong": float(self._record["wrong"]),
        }
        return figures | ({"right": self._record["right"] / checked} if checked else {})

    def record(self) -> dict[str, Any] | None:
        """Return the stage's counts and examples."""
        return self._record
