"""`coin`: sets of instructions in the JSON form of the CoIN benchmark: ScienceQA, TextVQA, ImageNet, GQA and others."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Literal, get_args

from polymnia.data.annotations import Cells, Lists, Media, json_rows, lacking, list_files, name_in, understood, words
from polymnia.data.clips import root_of
from polymnia.data.fetch import data_folder
from polymnia.data.items import Annotated, Answered, Item
from polymnia.data.source import register
from polymnia.data.stage import Card, Rejected
from polymnia.data.wording import ANSWERING
from polymnia.errors import DataError, SettingsError
from polymnia.randomness import derive

Which = Literal["ScienceQA", "TextVQA", "ImageNet", "GQA", "VizWiz", "Grounding", "VQAv2", "OCRVQA"]
INSTRUCTIONS = ("Instructions_Original", "Instructions_slim", "Instruction_Type1", "Instructions_Type1")
"""Folders of instructions, as the benchmark's page and scripts call them."""
SIDES: Mapping[str, tuple[str, ...]] = {"test": ("test.json", "val.json"), "train": ("train.json",)}
PICTURES = ("cl_dataset", "")
"""Where in the folder pictures lie, from which on the lists name them."""
ANNOTATORS = "TextVQA/TextVQA_0.5.1_val.json"
JUDGED: Mapping[str, str] = {"Grounding": "box", "ImageNet": "contained"}
"""How answers are judged where it is not by being the same; a column of that name, which the scorer reads."""
LINES = re.compile(r"^\s*([A-H])[.:)]\s+(.+?)\s*$", re.MULTILINE)
INLINE = re.compile(r"\(([A-H])\)\s*(.+?)\s*(?=\([A-H]\)|$)", re.MULTILINE)
PICTURE = re.compile(r"\s*<image>\s*")


@register("coin")
class CoIN(Annotated):
    """One of the benchmark's sets: pictures, instructions and answers.

    Layout: `<instructions>/<set>/train.json`, LLaVA's form (`id`, `image`, `conversations`, each pair of turns an
    item), and `test.json` or `val.json` (`question_id`, `image`, `text`, and `answer` or `answer_bbox`); `image` is a
    path from `cl_dataset/` on. Columns beside those of all such sets: `kind` (the set) and `judged` (how an answer is
    judged: "" the same, "contained", "box"). `group` is the picture; training items whose picture is tested too are
    set aside, which the benchmark does not do.

    - ScienceQA: the option's letter and its text are both right. Questions without a picture are set aside.
    - ImageNet: right where the name is anywhere in the answer; of a gold answer with commas each name is right.
    - TextVQA: tested against the ten answers of `cl_dataset/TextVQA/TextVQA_0.5.1_val.json` where that is there.
    - Grounding: a box in shares of the picture, written as it is handed out; right where it overlaps by more than half.

    Source: Chen, Zhu, Luo, Shen, Gao, Song 2024, "CoIN", NeurIPS Datasets and Benchmarks.
    """

    card = Card(
        title="CoIN: continual instruction tuning (eight sets as instructions)",
        licence="none stated for the instructions; the pictures are under the terms of their sets",
        citation="C. Chen, J. Zhu, X. Luo, H. Shen, L. Gao, J. Song (2024). CoIN: A benchmark of continual instruction "
        "tuning for multimodal large language models. arXiv:2403.08350.",
        homepage="https://github.com/zackschen/CoIN",
        notes="There is no validation part; it stays empty unless held_out is given.",
        get="Download the instructions from https://huggingface.co/datasets/Zacks-Chen/CoIN, and the pictures as "
        "https://github.com/zackschen/CoIN says, so that one folder holds Instructions_Original/<set>/train.json, "
        "test.json (or val.json), and the pictures in cl_dataset/",
    )

    @dataclass(frozen=True, kw_only=True)
    class Settings(Answered):
        """Which set, where it is, and how much of it."""

        which: Which = "ScienceQA"
        instructions: str = ""
        """Folder of the instructions, from `path` on; empty: the first of the usual ones that is there."""
        held_out: float = 0.0
        """Share of the training pictures that validate instead, drawn by their names."""

    task, modality = ANSWERING, "image"
    lists: ClassVar[Lists] = {}  # an instance has its set's
    folders = PICTURES

    settings: Settings

    def __init__(self, settings: Any = None) -> None:
        super().__init__(settings)
        folders = [self.settings.instructions] if self.settings.instructions else [*INSTRUCTIONS, ""]
        vars(self)["lists"] = lists_of(self.settings.which, folders)

    @classmethod
    def available(cls) -> bool:
        """Return whether the lists of one of its sets lie where data sets usually do."""
        every = [lists_of(which, [*INSTRUCTIONS, ""]) for which in get_args(Which)]
        return any(not lacking(lists, list_files(data_folder(cls.name), lists)) for lists in every)

    def items(self, files: Mapping[str, Path], media: Media, left: list[Rejected]) -> Iterator[Item]:
        """Yield one item a question."""
        given, which = self.settings, self.settings.which
        if not 0 <= given.held_out < 1:
            raise SettingsError(f"stream.held_out: {given.held_out} is given; a share from 0 to below 1 is")
        root = root_of(self.name, given.path, (".",), self.card)
        places = [root / Path(given.media).expanduser()] if given.media else [root / name for name in PICTURES]
        ten = self._annotators(places, left) if which == "TextVQA" else {}
        for side in SIDES:
            seen: Counter[str] = Counter()
            rows = understood(json_rows(files[side]), turns_of, path=files[side], left=left)
            for name, picture, question, answers in (one for row in rows for one in row):
                seen[name] += 1
                called = f"{side}/{name}" + (f"-{seen[name]}" if seen[name] > 1 else "")
                if not picture:
                    left.append(Rejected(called, "image", words(question)[:200], "has no picture", broken=False))
                    continue
                path = next((place / picture for place in places if (place / picture).is_file()), places[0] / picture)
                lucky = side == "train" and derive(0, "coin", picture) / 2**63 < given.held_out
                columns = {
                    "split": "valid" if lucky else side,
                    "group": f"{which}/{picture}",
                    "kind": which,
                    "judged": JUDGED.get(which, ""),
                }
                right = ten.get(name, answers) if side == "test" else answers
                yield Item(
                    id=called, values={"image": path}, question=question,
                    references=accepted(which, question, right), columns=columns,
                )  # fmt: skip

    def right(self, text: Any) -> str:
        """Return a right answer as answers are written; a box keeps its points and brackets."""
        return words(text).lower() if self.settings.which == "Grounding" else super().right(text)

    def _annotators(self, places: Sequence[Path], left: list[Rejected]) -> dict[str, list[Any]]:
        """Return question → the ten answers to it, of the set's own list where that is there."""
        path = next((place / ANNOTATORS for place in places if (place / ANNOTATORS).is_file()), None)
        return {} if path is None else dict(understood(json_rows(path, "data"), ten_of, path=path, left=left))


def lists_of(which: str, folders: Sequence[str]) -> dict[str, list[str]]:
    """Return side → where its list may lie, the first first.

    Examples
    --------
    >>> lists_of("GQA", ["slim", ""])["test"]
    ['slim/GQA/test.json', 'slim/GQA/val.json', 'GQA/test.json', 'GQA/val.json']
    """
    return {
        side: [str(PurePosixPath(folder, which, name)) for folder in folders for name in names]
        for side, names in SIDES.items()
    }


Turn = tuple[str, str, str, list[Any]]
"""A question's id, its picture, its words, and the right answers."""


def turns_of(cells: Cells) -> list[Turn]:
    """Return what a row asks: one question, or each pair of turns of a conversation."""
    name = name_in(cells, "question_id" if "question_id" in cells else "id")
    picture = picture_in(cells)
    if "conversations" not in cells:
        answer = cells.get("answer", cells.get("answer_bbox"))
        return [(name, picture, bare(cells.get("text")), answer if isinstance(answer, list) else [answer])]
    said = cells["conversations"]
    if not isinstance(said, list) or not all(isinstance(turn, dict) for turn in said):
        raise DataError("has conversations that are no list of turns")
    if len(said) < 2 or [turn.get("from") for turn in said] != ["human", "gpt"] * (len(said) // 2):
        raise DataError("has a conversation in which human and gpt do not take turns")
    return [(name, picture, bare(q.get("value")), [a.get("value")]) for q, a in zip(said[::2], said[1::2], strict=True)]


def picture_in(cells: Cells) -> str:
    """Return the path of a row's picture, empty where it has none; raise DataError where it leads out of the folder."""
    if cells.get("image") in (None, ""):
        return ""
    path = PurePosixPath(words(cells["image"]).replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise DataError(f"has the image {str(cells['image'])[:80]!r}, which is no path in the folder of pictures")
    return str(path)


def bare(text: Any) -> str:
    """Return an instruction without the mark for its picture, its lines as they are.

    Examples
    --------
    >>> bare("<image>\\nWhat is it?\\nA. a cat")
    'What is it?\\nA. a cat'
    """
    if not isinstance(text, str):
        raise DataError("has no text that asks")
    return PICTURE.sub(" ", text).strip()


def accepted(which: str, question: str, answers: Sequence[Any]) -> list[Any]:
    """Return all right answers, the one that was given first.

    Examples
    --------
    >>> accepted("ScienceQA", "Which is a state?\\nA. Rome\\nB. Ohio", ["B"])
    ['B', 'Ohio', 'B. Ohio']
    >>> accepted("ImageNet", "What is it?", ["tench, Tinca tinca"])
    ['tench, Tinca tinca', 'tench', 'Tinca tinca']
    """
    gold = words(answers[0]) if answers else ""
    if which == "ScienceQA":
        options = dict(LINES.findall(question)) or dict(INLINE.findall(question))
        same = [
            (letter, text) for letter, text in options.items() if gold in (letter, words(text), f"{letter}. {text}")
        ]
        more = [form for letter, text in same[:1] for form in (letter, words(text), f"{letter}. {words(text)}")]
        return list(dict.fromkeys([*answers, *more]))
    if which == "ImageNet" and "," in gold:
        return [*answers, *filter(None, map(str.strip, gold.split(",")))]
    return list(answers)


def ten_of(cells: Cells) -> tuple[str, list[Any]]:
    """Return a question's id, and what ten people answered."""
    answers = cells.get("answers")
    if not isinstance(answers, list) or not answers:
        raise DataError("has no list of answers")
    return name_in(cells, "question_id"), answers
