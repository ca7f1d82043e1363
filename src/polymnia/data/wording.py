"""How language tasks are put into words: the fixed prompts of tests, and many ways to say the same in training."""

import re
from collections.abc import Mapping, Sequence

from polymnia.errors import SettingsError
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


def reworded(
    task: str, modality: str, question: str = "", *, wordings: Sequence[int] = (0,), sample: str = ""
) -> tuple[str, int]:
    """Return a prompt in one of the given wordings, drawn by the sample's id alone, and the number of that wording.

    So a stage can ask in other words than the stages before it, in training and in tests: the same task, and a shift
    of domain.

    Parameters
    ----------
    task, modality, question : str
        As for `asked`.
    wordings : sequence of int
        Numbers of the task's `TEMPLATES`; 0 is how tests ask otherwise.
    sample : str
        Id of the sample.

    Raises
    ------
    SettingsError
        There is no such wording.

    Examples
    --------
    >>> reworded("answering", "image", "is it red?", wordings=[2])
    ('answer the question about the image: is it red?', 2)
    """
    check_wordings(task, wordings)
    number = wordings[derive(0, "wording of a stage", sample) % len(wordings)]
    return TEMPLATES[task][number].format(m=modality, q=question), number


def check_wordings(task: str, wordings: Sequence[int]) -> None:
    """Raise SettingsError unless there are wordings, and all are the task's."""
    ways = TEMPLATES[task]
    if not wordings or not all(0 <= number < len(ways) for number in wordings):
        raise SettingsError(
            f"stream.wordings: {list(wordings)} is given; numbers from 0 to {len(ways) - 1} are needed, one at least: "
            + ", ".join(f"{number} ({way})" for number, way in enumerate(ways))
        )


def plain(text: str, *, words: int = WORDS) -> str:
    """Return a text as answers are written: small letters, without some punctuation, so many words at most.

    Examples
    --------
    >>> plain('A Frog ("green"): it  jumps!')
    'a frog green it jumps'
    """
    return " ".join(LEFT_OUT.sub(" ", text.lower()).split()[:words])
