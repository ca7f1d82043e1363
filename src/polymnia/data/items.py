"""Items: what is asked about a picture, a sound or a video, with all right answers; and how they become samples."""

import json
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from polymnia.data.annotations import Lists, Media, lacking, list_files, words
from polymnia.data.clips import Clip, root_of, usable
from polymnia.data.fetch import data_folder
from polymnia.data.samples import Sample, Samples
from polymnia.data.source import Dataset, Source
from polymnia.data.stage import Rejected
from polymnia.data.wording import ANSWERING, CAPTIONING, asked, plain
from polymnia.errors import DataError, SettingsError
from polymnia.randomness import derive


@dataclass(frozen=True, kw_only=True)
class Item(Clip):
    """One thing that is asked about one file, and all right answers, as they were written.

    Parameters
    ----------
    references : sequence
        Captions, or the answers of all who were asked.
    question : str
        Empty for captions.
    """

    label: str = ""
    references: Sequence[Any] = ()
    question: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Captioned:
    """Where it is, and how much of it."""

    path: str | None = None
    media: str | None = None
    """Folder of the media files, where it is none of the usual ones; from `path` on, or absolute."""
    limit: int = 0
    """At most so many items of each split, drawn by their names; 0: all."""
    references: int = 5
    """At most so many captions of an item are trained on, each as a sample; 0: all. Tests know all of them."""


@dataclass(frozen=True, kw_only=True)
class Answered:
    """Where it is, and how much of it."""

    path: str | None = None
    media: str | None = None
    """Folder of the media files, where it is none of the usual ones; from `path` on, or absolute."""
    limit: int = 0
    """At most so many questions of each split, drawn by their names; 0: all."""
    answers: Literal["common", "each"] = "common"
    """What is trained on: the commonest answer to a question, or every one as a sample, also those given twice."""


class Annotated(Source):
    """Base of sets of items in the layout in which they are handed out: lists, and media beside them.

    A training sample is made of each reference that is trained on ("id#0", "id#1"; "id" where it is one), a validation
    or test sample of each item. Columns: `task`, `prompt`, `answer`, `references` (JSON), `group` (the file), `split`.
    """

    task: ClassVar[str]
    modality: ClassVar[str]
    lists: ClassVar[Lists]
    folders: ClassVar[tuple[str, ...]]
    """Where media usually lie, the first being what its makers say."""
    gone: ClassVar[bool] = False
    """Whether media are known to be missing, so that these do not count as broken."""

    @abstractmethod
    def items(self, files: Mapping[str, Path], media: Media, left: list[Rejected]) -> Iterator[Item]:
        """Yield what the lists hold, tests first; what cannot be understood goes to `left`."""

    def load(self) -> Dataset:
        """Return every item whose file is there.

        Raises
        ------
        DataError
            A list is not there or cannot be read, or no item is left.
        """
        given = self.settings
        for name in ("limit", "references"):
            if getattr(given, name, 0) < 0:
                raise SettingsError(f"stream.{name}: {getattr(given, name)} is given; 0 (all) or more is accepted")
        root = root_of(self.name, given.path, (".",), self.card)
        files = list_files(root, self.lists)
        if absent := lacking(self.lists, files):
            raise DataError(f"{self.name}: {root} lacks {absent}. {self.card.get}")
        media = Media(root, self.folders, self.modality, given=given.media)
        left: list[Rejected] = []
        whole = (self._written(item, left) for item in self.items(files, media, left))
        kept = drawn(usable([item for item in whole if item], left, gone=self.gone), given.limit)
        if not kept:
            first = f" First: {left[0].id}: {left[0].reason} ({left[0].value})" if left else ""
            raise DataError(f"{self.name}: {root} has no usable item ({len(left)} set aside).{first}")
        samples = [sample for item in kept for sample in self._samples(item)]
        return Dataset(samples=in_columns(samples), class_names=(), kinds={self.modality: self.modality},
                       rejected=tuple(left))  # fmt: skip

    def _written(self, item: Item, left: list[Rejected]) -> Item | None:
        """Return an item with its texts as prompts and answers are written; empty ones go to `left`."""
        question = words(item.question).lower()  # [X] small letters in tests too, as training has them
        references = [self.right(text) for text in item.references]
        what = "caption" if self.task == CAPTIONING else "answer"
        if self.task == ANSWERING and not question:
            left.append(Rejected(item.id, "", "", "has no question"))
        elif not any(references):
            left.append(Rejected(item.id, "", question, f"has no {what}"))
        else:
            empty = [number for number, text in enumerate(references) if not text]
            left += [Rejected(f"{item.id}, {what} {n + 1}", "", str(item.references[n])[:200], "has no words")
                     for n in empty]  # fmt: skip
            held = tuple(text for text in references if text)
            name = item.id.replace("#", "%23")  # "#" parts an item's training samples
            return replace(item, id=name, label=question or held[0], question=question, references=held)
        return None

    def right(self, text: Any) -> str:
        """Return a right answer as answers are written; empty where it has no words."""
        return plain(words(text))

    def _samples(self, item: Item) -> Iterator[Sample]:
        """Yield the samples of an item."""
        columns = {
            "task": self.task,
            "prompt": asked(self.task, self.modality, item.question),
            "references": json.dumps(item.references, ensure_ascii=False),
            **item.columns,
        }
        texts = self.trained(item.references) if item.columns["split"] == "train" else [common(item.references)]
        for number, text in enumerate(texts):
            name = f"{item.id}#{number}" if len(texts) > 1 else item.id
            yield Sample(name, item.values, -1, {**columns, "answer": text})

    def trained(self, references: Sequence[str]) -> Sequence[str]:
        """Return the references of an item that are trained on."""
        given = self.settings
        if isinstance(given, Captioned):
            return list(dict.fromkeys(references))[: given.references or None]
        return references if given.answers == "each" else [common(references)]

    @classmethod
    def available(cls) -> bool:
        """Return whether its lists lie where data sets usually do."""
        return not lacking(cls.lists, list_files(data_folder(cls.name), cls.lists))


def common(texts: Sequence[str]) -> str:
    """Return the text that is there most often; of several, the first.

    Examples
    --------
    >>> common(["no", "yes", "maybe", "yes"])
    'yes'
    """
    return Counter(texts).most_common(1)[0][0]


def drawn(items: Sequence[Item], limit: int) -> list[Item]:
    """Return at most so many items of each split, in their order; which, depends on their names alone."""
    if not limit:
        return list(items)
    kept: set[str] = set()
    for split in {item.columns["split"] for item in items}:
        names = [item.id for item in items if item.columns["split"] == split]
        kept.update(sorted(names, key=lambda name: derive(0, "limit", name))[:limit])
    return [item for item in items if item.id in kept]


LONG = ("prompt", "answer", "references")


def in_columns(samples: Iterable[Sample]) -> Samples:
    """Return samples in columns, in which long texts stay Python's own strings.

    An array of numpy's strings is as wide everywhere as its longest: twenty captions for each of many rows would fill
    gigabytes, while as objects the samples of an item share one.
    """
    held = list(samples)
    short = [replace(s, columns={c: v for c, v in s.columns.items() if c not in LONG}) for s in held]
    table = Samples.of(short)
    texts: dict[str, Any] = {c: np.array([s.columns[c] for s in held], dtype=object) for c in LONG}
    return replace(table, columns={**table.columns, **texts})
