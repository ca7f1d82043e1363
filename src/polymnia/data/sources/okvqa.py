"""`okvqa`: questions about photographs that need knowledge of the world, with ten answers each."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from polymnia.data.annotations import Cells, Lists, Media, json_rows, name_in, understood
from polymnia.data.items import Annotated, Answered, Item
from polymnia.data.source import register
from polymnia.data.stage import Card, Rejected
from polymnia.data.wording import ANSWERING
from polymnia.errors import DataError, SettingsError
from polymnia.randomness import derive

SIDES = {"test": "val2014", "train": "train2014"}
IDS = 10**12


@register("okvqa")
class OKVQA(Annotated):
    """14,055 questions about pictures of COCO 2014: 9,009 to train and 5,046 to test by.

    Layout: `OpenEnded_mscoco_train2014_questions.json` and `mscoco_train2014_annotations.json`, and the same of
    `val2014`; COCO's pictures in `train2014/COCO_train2014_<12 digits>.jpg` and `val2014/`. What is trained is the
    commonest of a question's ten answers, or with `answers: each` every one. Tests know all ten, of which three make an
    answer right. Training is on the pictures of `train2014`, testing on those of `val2014`; there is no official
    validation part, and `held_out` makes one of a share of the training pictures. `group` is the picture.

    Source: Marino, Rastegari, Farhadi, Mottaghi 2019, "OK-VQA", CVPR.
    """

    card = Card(
        title="OK-VQA: questions that need outside knowledge (14,055 questions)",
        licence="CC BY 4.0 (questions and answers); COCO's pictures are Flickr users' own",
        citation="K. Marino, M. Rastegari, A. Farhadi, R. Mottaghi (2019). OK-VQA: A visual question answering "
        "benchmark requiring external knowledge. CVPR.",
        homepage="https://okvqa.allenai.org",
        notes="There is no official validation part; it stays empty unless held_out is given.",
        get="Download questions and annotations (version 1.1) from https://okvqa.allenai.org/download.html and the "
        "pictures of COCO 2014 (train and val) from https://cocodataset.org/#download, so that one folder holds "
        "OpenEnded_mscoco_train2014_questions.json, mscoco_train2014_annotations.json, the same two of val2014, "
        "train2014/ and val2014/",
    )

    @dataclass(frozen=True, kw_only=True)
    class Settings(Answered):
        """Where it is, and how much of it."""

        held_out: float = 0.0
        """Share of the training pictures that validate instead, drawn by their names."""

    task, modality = ANSWERING, "image"
    lists: ClassVar[Lists] = {
        f"{side} {what}": (name.format(side),)
        for side in SIDES.values()
        for what, name in (
            ("questions", "OpenEnded_mscoco_{}_questions.json"),
            ("answers", "mscoco_{}_annotations.json"),
        )
    }
    folders = tuple(f"{folder}{side}" for folder in ("", "images/", "coco/") for side in SIDES.values())

    settings: Settings

    def items(self, files: Mapping[str, Path], media: Media, left: list[Rejected]) -> Iterator[Item]:
        """Yield one item a question."""
        if not 0 <= self.settings.held_out < 1:
            raise SettingsError(f"stream.held_out: {self.settings.held_out} is given; a share from 0 to below 1 is")
        for split, side in SIDES.items():
            questions, answers = files[f"{side} questions"], files[f"{side} answers"]
            given = dict(understood(json_rows(answers, "annotations"), answers_of, path=answers, left=left))
            asked = understood(json_rows(questions, "questions"), question_of, path=questions, left=left)
            known = {name for name, _, _ in asked}
            for name in given.keys() - known:
                left.append(Rejected(name, "", "", f"is answered in {answers.name} and not asked in {questions.name}"))
            for name, picture, question in asked:
                if name not in given:
                    left.append(Rejected(name, "", question, f"is not answered in {answers.name}"))
                    continue
                path = media.find(f"COCO_{side}_{picture:012d}.jpg")
                columns = {"split": self._split(split, path.name), "group": path.name}
                yield Item(
                    id=name, values={self.modality: path}, question=question, references=given[name], columns=columns
                )

    def _split(self, split: str, picture: str) -> str:
        """Return where a picture's questions go."""
        lucky = derive(0, "okvqa", picture) / 2**63 < self.settings.held_out
        return "valid" if split == "train" and lucky else split


def question_of(cells: Cells) -> tuple[str, int, str]:
    """Return a question's id, the number of its picture, and its words."""
    name, picture, question = name_in(cells, "question_id"), cells.get("image_id"), cells.get("question")
    if not isinstance(picture, int) or isinstance(picture, bool) or not 0 <= picture < IDS:
        raise DataError(f"has the image_id {picture!r}; a whole number of at most 12 digits is needed")
    if not isinstance(question, str):
        raise DataError("has no question")
    return name, picture, question


def answers_of(cells: Cells) -> tuple[str, list[Any]]:
    """Return a question's id, and all its answers."""
    name, given = name_in(cells, "question_id"), cells.get("answers")
    if not isinstance(given, list) or not all(isinstance(answer, dict) for answer in given):
        raise DataError("has no list of answers")
    return name, [answer.get("answer") for answer in given]
