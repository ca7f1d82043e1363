"""How an answer is judged where it is not by being the same: samples say so in their column `judged`."""

import math
import re
from collections.abc import Callable, Mapping, Sequence

from polymnia.errors import DataError
from polymnia.evaluation.answers import normalised, vqa_accuracy

JUDGED = "judged"
"""The column."""
OVERLAP = 0.5
"""A box is right where it shares more than this with the right one, as part of what both cover."""
NUMBER = re.compile(r"-?\d*\.?\d+(?:[eE][-+]?\d+)?")


def judged_accuracy(texts: Sequence[str], references: Sequence[Sequence[str]], judged: Sequence[str]) -> float:
    """Return the mean over answers of how right they are, each judged in its own way; NaN of none.

    Parameters
    ----------
    texts : sequence of str
        (N,) as a method wrote them.
    references : sequence
        (N,) all right answers.
    judged : sequence of str
        (N,) "contained": a right answer is anywhere in the text; "box": the text is a box that overlaps with a right
        one by more than half; empty: VQA accuracy.

    Raises
    ------
    DataError
        There is no such way.

    Examples
    --------
    >>> judged_accuracy(["a tench, I think", "Red"], [["tench"], ["red"]], ["contained", ""])
    1.0
    """
    scores = [one(text, among, how) for text, among, how in zip(texts, references, judged, strict=True)]
    return math.fsum(scores) / len(scores) if scores else math.nan


def one(text: str, among: Sequence[str], how: str) -> float:
    """Return how right one text is."""
    if not how:
        return vqa_accuracy([text], [among])
    if how not in JUDGES:
        raise DataError(f"column 'judged' holds {how!r}; accepted: {', '.join(JUDGES)}, or empty")
    return float(any(JUDGES[how](text, right) for right in among))


def contained(text: str, right: str) -> bool:
    """Return whether a right answer is anywhere in a text, as whole words.

    Source: the released evaluation of ImageNet, in which half words count too, and an answer that is part of the name.

    Examples
    --------
    >>> contained("It is a Tench.", "tench"), contained("a bookcase", "book")
    (True, False)
    """
    return f" {normalised(right)} " in f" {normalised(text)} "


def overlaps(text: str, right: str) -> bool:
    """Return whether two boxes, left, top, right and bottom in shares of a picture, overlap by more than half.

    Examples
    --------
    >>> overlaps("[0, 0, 0.5, 1]", "[0, 0, 0.6, 1]"), overlaps("[0, 0, 0.2, 1]", "[0, 0, 0.6, 1]")
    (True, False)
    """
    first, second = ([float(number) for number in NUMBER.findall(box)] for box in (text, right))
    if len(first) != 4 or len(second) != 4:
        return False
    sides = [min(first[at + 2], second[at + 2]) - max(first[at], second[at]) for at in (0, 1)]
    common = max(0.0, sides[0]) * max(0.0, sides[1])
    whole = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)) - common
    return whole > 0 and common / whole > OVERLAP


JUDGES: Mapping[str, Callable[[str, str], bool]] = {"box": overlaps, "contained": contained}
"""How → whether a text is right."""
