"""How large the values of a modality are: pixels, seconds, words."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from polymnia.data.modality import Array
from polymnia.data.sound import RATE

Value = Array | str
Measure = Callable[[Any], float]

MEASURES: Mapping[str, Mapping[str, Measure]] = {
    "image": {"width": lambda pixels: pixels.shape[1], "height": lambda pixels: pixels.shape[0]},
    "audio": {"seconds": lambda sound: len(sound) / RATE},
    "text": {"words": lambda text: len(text.split()), "characters": len},
    "video": {"width": lambda frames: frames.shape[2], "height": lambda frames: frames.shape[1], "frames": len},
    "motion": {"steps": len, "channels": lambda steps: steps.shape[1] if steps.ndim > 1 else 1},
    "point-cloud": {"points": len},
    "table": {"numbers": lambda row: row.size},
}
"""Kind of signal → name of a measure → how it is taken of a value that was read; frames are those that are taken."""


@dataclass(frozen=True)
class Spread:
    """The least, the middle and the most of a measure."""

    least: float
    median: float
    most: float

    @classmethod
    def of(cls, values: list[float]) -> "Spread":
        """Return that of at least one value."""
        return cls(float(np.min(values)), float(np.median(values)), float(np.max(values)))

    def __str__(self) -> str:
        if self.least == self.most:
            return _short(self.least)
        return f"{_short(self.least)} to {_short(self.most)}, median {_short(self.median)}"


def measured(kind: str, value: Value) -> dict[str, float]:
    """Return the measures of a value that was read.

    Examples
    --------
    >>> measured("text", "a frog in the rain"), measured("image", np.zeros((4, 6, 3)))
    ({'words': 5.0, 'characters': 18.0}, {'width': 6.0, 'height': 4.0})
    """
    return {name: float(take(value)) for name, take in MEASURES.get(kind, {}).items()}


def _short(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) else f"{value:,.2f}"
