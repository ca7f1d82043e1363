"""What the host `sketch` is taught: to draw, to say what a picture is, and in which form questions are answered."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from torch import Tensor

from polymnia.data.modality import MODALITIES, Array
from polymnia.data.samples import Samples
from polymnia.data.sources.digit_questions import INK, QUESTIONS, WORDS, DigitQuestions
from polymnia.data.sources.easy_vqa import EasyVQA
from polymnia.data.wording import ANSWERING, CAPTIONING, GENERATION, TEMPLATES, asked
from polymnia.randomness import derive

DRAWINGS: Mapping[str, object] = {
    "name": "together",
    "sources": [{"name": "easy-vqa", "task": GENERATION}, {"name": "digit-questions", "task": GENERATION}],
}
"""Pictures with what they show, of the same kind as those that the host learned to draw."""
ASKED_ABOUT = 100
"""Training pictures of each source about which questions are asked, most of them answered at random."""
AT_RANDOM = 0.9


@dataclass
class Lessons:
    """Texts about pictures, by row of `pictures`."""

    pictures: list[Array] = field(default_factory=list)
    draw: list[tuple[int, str]] = field(default_factory=list)
    """Picture, and the prompt by which it is drawn."""
    say: list[tuple[int, str, str]] = field(default_factory=list)
    """Picture, prompt, and what it is."""
    ask: list[tuple[int, str, str]] = field(default_factory=list)
    """Picture, question, and an answer in the right form: nine of ten are some other picture's."""


def lessons(*, most: int | None = None) -> Lessons:
    """Return what is taught, from the training parts of `easy-vqa` and `digit-questions` alone.

    Pictures and digits that these sources test or validate are not among them; those that a stream learns from are.

    Parameters
    ----------
    most : int, optional
        Pictures of each source at most.
    """
    made = Lessons()
    drawn = EasyVQA(EasyVQA.Settings(task=GENERATION)), DigitQuestions(DigitQuestions.Settings(task=GENERATION))
    for pictures, questions in zip(drawn, (EasyVQA(), DigitQuestions()), strict=True):
        rows = _drawings(made, pictures.load().samples, most)
        _questions(made, questions.load().samples, rows)
    return made


def _drawings(made: Lessons, samples: Samples, most: int | None) -> dict[str, int]:
    """Add pictures to draw and to name, and return group → row of the picture."""
    rows: dict[str, int] = {}
    held = [at for at, split in enumerate(samples.columns["split"].tolist()) if split == "train"]
    few = sorted(held, key=lambda at: derive(0, "sketch", "taught", str(samples.ids[at])))[:most]
    for at in sorted(few):
        prompt = str(samples.columns["prompt"][at])
        row = rows[str(samples.columns["group"][at])] = len(made.pictures)
        value = samples[at].values["image"]
        assert not isinstance(value, Tensor), "nothing is encoded yet"
        made.pictures.append(np.asarray(MODALITIES.get("image")().read(value)))
        made.draw.append((row, prompt))
        made.say.append((row, asked(CAPTIONING, "image"), _thing(prompt)))
    return rows


def _thing(prompt: str) -> str:
    """Return what is to be drawn: "a red circle" of "draw a red circle."."""
    before, behind = TEMPLATES[GENERATION][0].split("{q}")
    return prompt.removeprefix(before).removesuffix(behind)


def _questions(made: Lessons, samples: Samples, rows: Mapping[str, int]) -> None:
    """Add questions about a few pictures; most are answered as they are about some other picture."""
    columns = {name: samples.columns[name].tolist() for name in ("group", "kind", "prompt", "answer")}
    few = set(sorted(rows, key=lambda group: derive(0, "sketch", "asked about", group))[:ASKED_ABOUT])
    held = [at for at, group in enumerate(columns["group"]) if group in few]
    of_kind: dict[str, list[str]] = {}
    for at in held:
        of_kind.setdefault(columns["kind"][at], []).append(columns["answer"][at])
    for at in held:
        answers = of_kind[columns["kind"][at]]
        luck = derive(0, "sketch", "answer", str(samples.ids[at]))
        shuffled = luck % 1000 < 1000 * AT_RANDOM
        answer = answers[(luck // 1000) % len(answers)] if shuffled else columns["answer"][at]
        made.ask.append((rows[columns["group"][at]], columns["prompt"][at], answer))


@cache
def texts() -> tuple[str, ...]:
    """Return texts that hold every word of the sources' questions and answers, whatever their settings."""
    return tuple(sorted(set(_texts())))


def _texts() -> Iterator[str]:
    for column in ("prompt", "answer"):
        yield from EasyVQA().load().samples.columns[column].tolist()
    yield from EasyVQA(EasyVQA.Settings(task="generation")).load().samples.columns["prompt"].tolist()
    yield from (*QUESTIONS.values(), *WORDS, *INK, "odd even yes no", "the digit")
    for task in (CAPTIONING, ANSWERING, GENERATION):
        yield from (way.format(m="image", q="") for way in TEMPLATES[task])
