"""`experts`: how much each expert of each block was used in each stage."""

from typing import Any

from polymnia.data.stage import Stream
from polymnia.evaluation.probes.base import register
from polymnia.methods.base import Method


@register("experts")
def experts(method: Method, stream: Stream) -> dict[str, Any]:
    """Return `usage`: stages → blocks → experts, the sum over a stage's training samples of an expert's weight.

    Only methods that freeze experts by use count it; for others this is empty.
    """
    usage = getattr(method, "usage", None)
    return {} if not usage else {"usage": usage}
