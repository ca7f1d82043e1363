"""`experts`: how much each expert of each block was used in each stage."""

from polymnia.data.stage import Stage, Stream
from polymnia.evaluation.probes.base import Figures, Probe, register
from polymnia.methods.base import Method


@register("experts")
class Experts(Probe):
    """`usage`: stages → blocks → experts, the sum over a stage's training samples of an expert's weight.

    Only methods that freeze experts by use count it; for others there is nothing.
    """

    def measure(self, method: Method, stream: Stream, stage: Stage) -> Figures:
        """Return what the method counted."""
        usage = getattr(method, "usage", None)
        return {} if not usage else {"usage": usage}
