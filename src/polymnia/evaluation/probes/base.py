"""A probe: figures of a learned model that are no scores."""

from collections.abc import Callable
from typing import Any

from polymnia.data.stage import Stream
from polymnia.methods.base import Method
from polymnia.registry import Registry

Probe = Callable[[Method, Stream], dict[str, Any]]
"""Method and encoded stream → figure → a number, or lists of numbers; empty where there is nothing to measure."""

PROBES: Registry[Probe] = Registry("probe", "polymnia.evaluation.probes")
register = PROBES.register
