"""What the host `words` is made of: texts about scenes, to be read, repeated and asked about."""

from collections.abc import Callable, Iterator
from itertools import product

import numpy as np

from polymnia.data.sources.scenes import MODALITIES, QUESTIONS, SCENES, WORDS, Scene
from polymnia.data.wording import CAPTIONING, TEMPLATES, WRITTEN, asked
from polymnia.randomness import derive

Pair = tuple[str, str]
"""A prompt and the right answer."""

HELD_OUT = 24
"""Scenes that the corpus does not tell of: the quiz is about them."""
COPIED = 600
LONGEST = 8

READ = ("given the description: {c}. {q}", "{c}. {q}")
"""How a description is asked about; the first is how every host is asked, see `Host.reading`."""


def told() -> tuple[tuple[Scene, ...], tuple[Scene, ...]]:
    """Return the scenes that the corpus tells of, and those of the quiz."""
    order = np.random.default_rng(derive(0, "reading", "held out")).permutation(len(SCENES)).tolist()
    held = set(order[:HELD_OUT])
    return (
        tuple(s for at, s in enumerate(SCENES) if at not in held),
        tuple(s for at, s in enumerate(SCENES) if at in held),
    )


def corpus() -> dict[str, list[Pair]]:
    """Return the texts by what they teach: reading comprehension, repeating and copying.

    Examples
    --------
    >>> corpus()["reading"][0]
    ('given the description: there is one red star on the left. what colour is it?', 'red')
    """
    scenes = told()[0]
    return {
        "reading": [pair for scene in scenes for pair in read(scene)],
        "repeating": [
            (f"{s.caption}. {asked(CAPTIONING, m)}", s.caption) for s, m in product(scenes, (*MODALITIES, "text"))
        ],
        "copying": list(copied()),
    }


def read(scene: Scene, ways: tuple[str, ...] = READ) -> Iterator[Pair]:
    """Yield each question about a scene after its caption, and the answer."""
    for way, (kind, question) in product(ways, QUESTIONS.items()):
        yield way.format(c=scene.caption, q=question), scene.answer(kind)


def copied() -> Iterator[Pair]:
    """Yield words in any order, to be written again."""
    words = sorted({word for scene in SCENES for word in scene.caption.split()})
    random = np.random.default_rng(derive(0, "reading", "copied"))
    for _ in range(COPIED):
        text = " ".join(random.choice(words, random.integers(2, LONGEST + 1)).tolist())
        yield f"repeat: {text}.", text


def quiz() -> list[Pair]:
    """Return the questions about scenes that are not in the corpus, each after the caption."""
    return [pair for scene in told()[1] for pair in read(scene, READ[:1])]


def vocabulary(pieces: Callable[[str], list[str]]) -> list[str]:
    """Return every word and mark of the corpus, and of the wordings that a training may ask in."""
    texts = [text for pairs in corpus().values() for pair in pairs for text in pair]
    texts += [way.format(m=m, q="") for task in WRITTEN for way in TEMPLATES[task] for m in MODALITIES]
    texts += [word for words in WORDS.values() for word in words]
    return sorted({piece for text in set(texts) for piece in pieces(text)})
