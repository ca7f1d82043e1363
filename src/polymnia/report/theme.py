"""Colours for light and dark, and the steps of a heat map with ink that can be read on them."""

from typing import NamedTuple

LIGHT = {
    "paper": "#ffffff",
    "panel": "#f5f6f7",
    "ink": "#1a1d21",
    "muted": "#5a636e",
    "line": "#d9dde2",
    "accent": "#0b6e6e",
    "warm": "#b04a12",
    "s0": "#0b6e6e",
    "s1": "#b04a12",
    "s2": "#4a55b8",
    "s3": "#846800",
    "s4": "#a8306c",
    "s5": "#2f7a34",
    "s6": "#0072ad",
    "s7": "#646c76",
}
DARK = {
    "paper": "#14171a",
    "panel": "#1d2125",
    "ink": "#e9ebed",
    "muted": "#a2abb5",
    "line": "#363c43",
    "accent": "#5cc4bc",
    "warm": "#f0a06a",
    "s0": "#5cc4bc",
    "s1": "#f0a06a",
    "s2": "#a3acf5",
    "s3": "#dcc052",
    "s4": "#f093be",
    "s5": "#8acb8e",
    "s6": "#70c0f2",
    "s7": "#aab2bc",
}
SERIES = 8
"""Colours that tell lines apart; beyond them a figure says so and draws all alike."""

STEPS = 20
"""Of a heat map, above 0."""


class Step(NamedTuple):
    """One colour of a heat map and the ink on it."""

    ground: str
    ink: str


def heat(palette: dict[str, str]) -> list[Step]:
    """Return the steps from nothing (the panel's colour) to all (the accent), with the ink that contrasts more."""
    low, high = _rgb(palette["panel"]), _rgb(palette["accent"])
    steps = []
    for step in range(STEPS + 1):
        mixed = tuple(round(a + (b - a) * step / STEPS) for a, b in zip(low, high, strict=True))
        ground = "#{:02x}{:02x}{:02x}".format(*mixed)
        steps.append(Step(ground, max(("#000000", "#ffffff"), key=lambda ink: contrast(ground, ink))))
    return steps


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours, from 1 to 21.

    Source: W3C, Web Content Accessibility Guidelines 2.2, "contrast ratio".

    Examples
    --------
    >>> round(contrast("#ffffff", "#000000"), 1)
    21.0
    """
    bright, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def style() -> str:
    """Return both palettes and the heat map's classes as CSS; the reader's system chooses."""
    return (
        f":root{{{_variables(LIGHT)}}}\n{_heat_classes(LIGHT)}\n"
        f"@media (prefers-color-scheme: dark){{:root{{{_variables(DARK)}}}\n{_heat_classes(DARK)}}}\n"
    )


def _variables(palette: dict[str, str]) -> str:
    return "".join(f"--{name}:{colour};" for name, colour in palette.items())


def _heat_classes(palette: dict[str, str]) -> str:
    return "".join(f".h{i}{{background:{step.ground};color:{step.ink}}}" for i, step in enumerate(heat(palette)))


def _rgb(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))


def _luminance(colour: str) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in _rgb(colour))]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
