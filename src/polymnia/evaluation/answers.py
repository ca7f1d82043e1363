"""Scores of short answers: which are the same, and how many annotators gave them."""

import math
import re
from collections.abc import Callable, Sequence

ANNOTATORS = 10
"""With so many references, a reference is one annotator's answer."""
AGREEING = 3
"""Annotators whose agreement makes an answer right."""

ARTICLES = frozenset({"a", "an", "the"})
DIGITS = {
    "none": "0", "zero": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7",
    "eight": "8", "nine": "9", "ten": "10",
}  # fmt: skip
BETWEEN_DIGITS = re.compile(r"(?<=\d),(?=\d{3})")
APOSTROPHES = re.compile(r"['’‘`]")
OTHER = re.compile(r"\.(?!\d)|[^\w\s.]|_")


def normalised(text: str) -> str:
    """Return an answer in a form in which equal answers are equal: small letters, digits, no articles, no punctuation.

    The decimal point stays, and nothing is left out of an answer that is nothing else ("a").

    Source: what the VQA challenge's evaluation does (Antol et al. 2015), in our own words; where it puts missing
    apostrophes in, they are left out here.

    Examples
    --------
    >>> normalised("The two T-shirts."), normalised("1,000"), normalised("It isn't!"), normalised("A")
    ('2 t shirts', '1000', 'it isnt', 'a')
    """
    bare = APOSTROPHES.sub("", BETWEEN_DIGITS.sub("", text.lower()))
    words = [DIGITS.get(word, word) for word in OTHER.sub(" ", bare).split()]
    return " ".join([word for word in words if word not in ARTICLES] or words)


def vqa_accuracy(texts: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Return the mean over answers of min(1, annotators who gave it / 3); NaN of none.

    References of ten or more are annotators' answers, repeats among them. With fewer, an answer is right where it is
    one of them.

    Source: Antol et al. 2015, "VQA", its accuracy; without the mean over subsets of nine annotators.

    Examples
    --------
    >>> vqa_accuracy(["Red", "two"], [["red"] * 2 + ["blue"] * 8, ["2"]])
    0.8333333333333333
    """
    return _mean([_agreed(text, among) for text, among in zip(texts, references, strict=True)])


def exact_match(
    texts: Sequence[str], references: Sequence[Sequence[str]], *, like: Callable[[str], str] = normalised
) -> float:
    """Return the share of texts that are one of their references, in the form that `like` brings both into."""
    return _mean([float(matches(text, among, like=like)) for text, among in zip(texts, references, strict=True)])


def matches(text: str, among: Sequence[str], *, like: Callable[[str], str] = normalised) -> bool:
    """Return whether a text is one of its references."""
    return like(text) in {like(one) for one in among}


def _agreed(text: str, among: Sequence[str]) -> float:
    if len(among) < ANNOTATORS:
        return float(matches(text, among))
    return min(1.0, [normalised(one) for one in among].count(normalised(text)) / AGREEING)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan
