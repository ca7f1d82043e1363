"""How language tasks are put into words: the fixed prompts of tests, and many ways to say the same in training."""

import re
from collections.abc import Mapping

from polymnia.randomness import derive

CAPTIONING, ANSWERING = "captioning", "answering"
WRITTEN = (CAPTIONING, ANSWERING)
"""The tasks whose answers are texts."""
GENERATION = "generation"
"""The task whose answer is a picture."""

DESCRIBE = (
    "describe the {m}.", "write a description of the {m}.", "what is in the {m}?", "give the {m} a caption.",
    "say in a few words what the {m} is.", "tell me about the {m}.", "what does the {m} hold?",
    "put the {m} into words.", "a short caption for the {m}:", "briefly describe the {m}.", "summarise the {m}.",
    "what can be noticed in the {m}?", "write down what the {m} is of.", "caption:", "name what the {m} is about.",
)  # fmt: skip
ASK = (
    "{q}", "question: {q} answer:", "answer the question about the {m}: {q}", "{q} answer shortly.", "tell me: {q}",
    "{q} reply with a word or two.", "given the {m}, {q}", "about the {m}: {q}", "look at the {m}. {q}", "q: {q} a:",
    "use the {m} to answer: {q}", "{q} the answer is:",
)  # fmt: skip
DRAW = (
    "draw {q}.", "a picture of {q}:", "paint {q}.", "show me {q}.", "make a picture of {q}.", "draw a picture of {q}.",
)  # fmt: skip
TEMPLATES: Mapping[str, tuple[str, ...]] = {CAPTIONING: DESCRIBE, ANSWERING: ASK, GENERATION: DRAW}
"""Task → ways to ask in training, the first of which is how tests ask."""

LEFT_OUT = re.compile(r"[.!\"()*#:;~]")
WORDS = 50


def asked(task: str, modality: str, question: str = "") -> str:
    """Return the prompt of a test.

    Examples
    --------
    >>> asked("captioning", "image"), asked("answering", "image", "what colour is it?")
    ('describe the image.', 'what colour is it?')
    """
    return TEMPLATES[task][0].format(m=modality, q=question)


def asked_in_training(task: str, modality: str, question: str = "", *, seed: int, sample: str) -> str:
    """Return one of many prompts for the same: drawn by the seed and the sample's id, and so the same every time."""
    ways = TEMPLATES[task]
    return ways[derive(seed, "wording", sample) % len(ways)].format(m=modality, q=question)


def plain(text: str, *, words: int = WORDS) -> str:
    """Return a text as answers are written: small letters, without some punctuation, so many words at most.

    Examples
    --------
    >>> plain('A Frog ("green"): it  jumps!')
    'a frog green it jumps'
    """
    return " ".join(LEFT_OUT.sub(" ", text.lower()).split()[:words])
