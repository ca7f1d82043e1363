"""`clotho-aqa`: questions about sounds, each answered by three people."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from polymnia.data.annotations import Cells, Lists, Media, file_in, table_rows, understood, words
from polymnia.data.items import Annotated, Answered, Item
from polymnia.data.source import register
from polymnia.data.stage import Card, Rejected
from polymnia.data.wording import ANSWERING, plain
from polymnia.errors import DataError

SPLITS = ("test", "valid", "train")
COLUMNS = ("file_name", "QuestionText", "answer")


@register("clotho-aqa")
class ClothoAQA(Annotated):
    """35,838 pairs of question and answer about 1,991 sounds of 15 to 30 seconds: six questions a sound, three answers
    each, most of them "yes", "no" or one word.

    Layout: `clotho_aqa_train.csv`, `clotho_aqa_val.csv` and `clotho_aqa_test.csv` with the columns file_name,
    QuestionText and answer (and confidence, which is not used), a row an answer; the sounds in `audio_files/`. Rows of
    one sound with the same question are one item, whose answers are all right; each is trained on, unless `answers` is
    "common". `agreed` keeps those questions alone on which all agree. `group` is the sound.

    Source: Lipping, Sudarsanam, Drossos, Virtanen 2022, "Clotho-AQA: a crowdsourced dataset for audio question
    answering", EUSIPCO.
    """

    card = Card(
        title="Clotho-AQA: questions about sounds (35,838 answers, 1,991 sounds)",
        licence="that of LICENSE.txt in its record (questions and answers); each sound has its own Creative Commons "
        "licence, named in clotho_aqa_metadata.csv",
        citation="S. Lipping, P. Sudarsanam, K. Drossos, T. Virtanen (2022). Clotho-AQA: A crowdsourced dataset for "
        "audio question answering. EUSIPCO.",
        homepage="https://zenodo.org/records/6473207",
        get="Download audio_files.zip, clotho_aqa_train.csv, clotho_aqa_val.csv and clotho_aqa_test.csv from "
        "https://zenodo.org/records/6473207 (3 GB) and unpack the sounds, so that one folder holds audio_files/ and "
        "the three lists",
    )

    @dataclass(frozen=True, kw_only=True)
    class Settings(Answered):
        """Where it is, and how much of it."""

        answers: Literal["common", "each"] = "each"
        """What is trained on: the commonest answer to a question, or every one as a sample, also those given twice."""
        agreed: bool = False
        """Leave out questions whose answers differ."""

    task, modality = ANSWERING, "audio"
    lists: ClassVar[Lists] = {
        "train": ("clotho_aqa_train.csv",),
        "valid": ("clotho_aqa_val.csv",),
        "test": ("clotho_aqa_test.csv",),
    }
    folders = (
        *("audio_files", "audio", "audios", "audio/train", "audio/val", "audio/test"),
        *("development", "validation", "evaluation", ""),  # as the captions of the same sounds have them
    )

    settings: Settings

    def items(self, files: Mapping[str, Path], media: Media, left: list[Rejected]) -> Iterator[Item]:
        """Yield one item a question about a sound."""
        for split in SPLITS:
            sounds: dict[str, dict[str, list[str]]] = {}
            path = files[split]
            for name, question, answer in understood(table_rows(path, COLUMNS), _row, path=path, left=left):
                sounds.setdefault(name, {}).setdefault(question, []).append(answer)
            for name, questions in sounds.items():
                for number, (question, answers) in enumerate(questions.items(), start=1):
                    item = Item(
                        id=f"{name}/{number}",
                        values={self.modality: media.find(name, Path(name).stem)},
                        question=question,
                        references=answers,
                        columns={"split": split, "group": name},
                    )
                    if self.settings.agreed and len({plain(answer) for answer in answers}) > 1:
                        reason = f"its answers differ: {', '.join(answers)}"
                        left.append(Rejected(item.id, "", question, reason, broken=False))
                    else:
                        yield item


def _row(cells: Cells) -> tuple[str, str, str]:
    """Return a row's sound, question and answer."""
    name, question, answer = file_in(cells, "file_name"), words(cells["QuestionText"]), words(cells["answer"])
    if not question or not answer:
        raise DataError("has no question" if not question else "has no answer")
    return name, question, answer
