"""What a picture of easy-VQA shows, as far as the questions about it and their answers tell."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache

COLOURS = ("black", "blue", "brown", "gray", "green", "red", "teal", "yellow")
SHAPES = ("circle", "rectangle", "triangle")
VALUES: Mapping[str, tuple[str, ...]] = {"colour": COLOURS, "shape": SHAPES}
"""Attribute → all values that it has in the set."""

NEGATED = re.compile(r"\b(not|no)\b")
YES_OR_NO = ("yes", "no")


def shown(asked: Iterable[tuple[str, str, int]]) -> dict[int, dict[str, str]]:
    """Return picture → attribute → value, of (question, answer, picture), where there is one value that can be.

    An answer that is a value is one; a value that is named in a question whose answer is a value is one too ("what
    colour is the circle?" says that there is a circle). Questions about presence tell of the value that they name
    whether it is there; where all others are not, the last one is.

    Examples
    --------
    >>> shown([("what is the red shape?", "circle", 1), ("is there not a teal shape?", "no", 2)])
    {1: {'colour': 'red', 'shape': 'circle'}, 2: {'colour': 'teal'}}
    """
    possible: dict[tuple[int, str], frozenset[str]] = defaultdict(frozenset)
    for question, answer, picture in asked:
        for attribute, values in VALUES.items():
            left = possible[picture, attribute] or frozenset(values)
            possible[picture, attribute] = left & _fitting(question, answer, values) or left
    found: dict[int, dict[str, str]] = defaultdict(dict)
    for (picture, attribute), left in possible.items():
        if len(left) == 1:
            found[picture][attribute] = next(iter(left))
    return dict(found)


@cache
def _fitting(question: str, answer: str, values: tuple[str, ...]) -> frozenset[str]:
    """Return the values that a question and its answer leave possible; there are few questions, asked often."""
    named = frozenset(value for value in values if re.search(rf"\b{value}\b", question))
    if answer in values:
        return frozenset([answer])
    if answer in YES_OR_NO:
        there = (answer == "yes") != bool(NEGATED.search(question))
        return named if there and named else frozenset(values) - named
    return named or frozenset(values)
