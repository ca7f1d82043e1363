"""`told`: a labelled or captioned source as a language task: one modality is seen or drawn, and the other said."""

import json
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from polymnia.config import part
from polymnia.data.samples import Sample, Samples
from polymnia.data.source import SOURCES, Dataset, Source, register
from polymnia.data.stage import Card, Rejected
from polymnia.data.wording import ANSWERING, CAPTIONING, GENERATION, check_wordings, plain, reworded
from polymnia.errors import DataError, SettingsError, unknown
from polymnia.randomness import derive

CLASS = "class"
RIGHT = ("answer", "references")
"""What is right where a text is to be written; a picture to draw has neither."""


@register("told")
class Told(Source):
    """A source's samples, of which one modality is seen and another, a column or the class is to be put into words.

    Or the other way round: with `task: generation` what is said is asked for, and the modality is to be drawn.

    Captioning: the text is that of the modality or column `say`. Answering: to `question`, the answer is what `about`
    holds of a sample; with `confirm`, one more question a sample is asked that yes or no answers, as often yes as no.
    Wrong things are drawn by how often they are there, so that a question alone gives little of its answer away.

    Columns `task`, `prompt`, `wording`, `answer` and `references` are made; of what is drawn, `shows` instead of the
    last two (JSON, {"class": …} where there is one). Classes, splits and other columns are the source's, and so are its
    groups, so that what is said of one item in two ways is on one side.

    Examples
    --------
    >>> digits = Told.Settings(of={"name": "digits"}, see="pixels", task="answering", question="which digit is it?")
    >>> sample = Told(digits).load().samples[7]
    >>> sample.columns["prompt"], sample.columns["answer"]
    ('which digit is it?', '7')
    """

    card = Card(
        title="A data set as a language task",
        licence="that of the data set",
        citation="that of the data set",
        get="name it: of: {name: stamps, modalities: [image, text]}",
    )

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """Which source, what of it is seen, and what is said."""

        of: Mapping[str, Any] = field(default_factory=dict)
        """The source's `name` and its settings."""
        see: str = "image"
        see_as: str = ""
        """What the modality that is seen is called from now on; empty: as before."""
        task: Literal["captioning", "answering", "generation"] = "captioning"
        say: str = "text"
        """Captioning: the modality of texts, or the column, that is to be said. Generation: the same, or "class"."""
        phrase: str = "{}"
        """Generation: how that is put, such as "the digit {}"."""
        about: str = CLASS
        """Answering: "class", or the column that is asked for."""
        question: str = "what kind of thing is it?"
        """Answering; empty: `confirm` alone is asked."""
        confirm: str = ""
        """Answering: a question with {} for a thing, such as "does it belong to {}?"."""
        wordings: tuple[int, ...] = (0,)
        """In which of the task's wordings it is asked, in training and in tests; see `polymnia.data.wording`."""
        samples: int | None = None
        """At most so many samples of the source, always the same ones."""
        seed: int = 0
        """Of the wrong things that `confirm` asks about, and of which samples stay."""

        def __post_init__(self) -> None:
            for name in ("confirm", "phrase"):
                text = getattr(self, name)
                if (text or name == "phrase") and gaps(text) != [""]:
                    raise SettingsError(f"stream.{name}: {text!r} needs one {{}}, where the thing is put")
            check_wordings(self.task, self.wordings)
            if self.task == ANSWERING and not self.question and not self.confirm:
                raise SettingsError("stream.question and stream.confirm are both empty: nothing is asked")
            if self.samples is not None and self.samples < 1:
                raise SettingsError(f"stream.samples: {self.samples} is given; at least 1 is accepted")

    settings: Settings

    def __init__(self, settings: Any = None) -> None:
        super().__init__(settings)
        if not self.settings.of:
            raise SettingsError(f"stream.of is empty; {self.card.get}")
        kind, own = part(SOURCES, self.settings.of, "stream.of")
        self.source: Source = kind(own)
        vars(self)["card"] = self.source.card  # the class's speaks of none

    @classmethod
    def available(cls) -> bool:
        """Return False: without a source there is nothing."""
        return False

    def load(self) -> Dataset:
        """Return the samples with what is asked about them.

        Raises
        ------
        SettingsError
            The source has no such modality or column.
        DataError
            No sample has both what is seen and what is said.
        """
        wanted, dataset = self.settings, self.source.load()
        if wanted.see not in dataset.kinds:
            raise SettingsError(f"stream.see: {unknown('modality', wanted.see, dataset.kinds)}")
        if wanted.task == GENERATION and dataset.kinds[wanted.see] != "image":
            raise SettingsError(f"stream.see: {wanted.see!r} is {dataset.kinds[wanted.see]}; what is drawn is an image")
        told = self._told(dataset)
        seen, said = dataset.samples.present[wanted.see].numpy(), told != ""
        usable = np.flatnonzero(seen & said)
        lacking = [
            Rejected(
                str(dataset.samples.ids[row]), "", "", "nothing is said of it" if seen[row] else f"has no {wanted.see}",
                broken=False,
            )
            for row in np.flatnonzero(~(seen & said)).tolist()
        ]  # fmt: skip
        if not len(usable):
            raise DataError(f"no sample of {self.source.name} has {wanted.see} and something that is said of it")
        kept = self._few(dataset.samples, usable)
        samples = Samples.of([sample for row in kept for sample in self._samples(dataset, row, told, kept)])
        name = wanted.see_as or wanted.see
        return replace(
            dataset, samples=samples, kinds={name: dataset.kinds[wanted.see]}, rejected=(*dataset.rejected, *lacking)
        )

    def _told(self, dataset: Dataset) -> NDArray[np.str_]:
        """Return (N,) what is said of each sample, as answers are written; empty where nothing is."""
        samples, wanted = dataset.samples, self.settings
        what = wanted.about if wanted.task == ANSWERING else wanted.say
        if wanted.task != ANSWERING and dataset.kinds.get(what) == "text":
            pairs = zip(np.asarray(samples.values[what]), samples.present[what].tolist(), strict=True)
            texts = [str(value) if there else "" for value, there in pairs]
        elif wanted.task != CAPTIONING and what == CLASS:
            texts = [name.replace("_", " ").replace("-", " ") for name in classes(dataset)]
        elif what in samples.columns:
            texts = samples.columns[what].tolist()
        else:
            texts_there = [m for m, kind in dataset.kinds.items() if kind == "text" and wanted.task != ANSWERING]
            more = [*texts_there, *([CLASS] if wanted.task != CAPTIONING else [])]
            setting = "about" if wanted.task == ANSWERING else "say"
            raise SettingsError(f"stream.{setting}: {unknown('text or column', what, [*more, *samples.columns])}")
        return np.array([plain(text) for text in texts], dtype=np.str_)

    def _few(self, samples: Samples, rows: NDArray[np.int64]) -> list[int]:
        """Return the rows that stay, in order."""
        ranked = sorted(rows.tolist(), key=lambda row: derive(self.settings.seed, "told", str(samples.ids[row])))
        return sorted(ranked[: self.settings.samples])

    def _samples(self, dataset: Dataset, row: int, told: NDArray[np.str_], rows: list[int]) -> Iterator[Sample]:
        """Yield a sample for each question about one row."""
        wanted, one = self.settings, dataset.samples[row]
        name = wanted.see_as or wanted.see
        group = f"{self.source.name}/{one.columns.get('group') or f'id:{one.id}'}"
        for what, question, answer in self._asked(one.id, str(told[row]), told[rows]):
            prompt, way = reworded(wanted.task, name, question, wordings=wanted.wordings, sample=one.id)
            before = dict(one.columns)
            if wanted.task == GENERATION:
                before = {name: text for name, text in before.items() if name not in RIGHT}
                shows = {"class": dataset.class_names[one.target]} if one.target >= 0 else {}
                right = {"shows": json.dumps(shows, ensure_ascii=False)}
            else:
                right = {"answer": answer, "references": json.dumps([answer])}
            columns = {"task": wanted.task, "prompt": prompt, "wording": str(way), "group": group}
            yield Sample(f"{one.id}#{what}", {name: one.values[wanted.see]}, one.target, {**before, **columns, **right})

    def _asked(self, sample: str, truth: str, every: NDArray[np.str_]) -> Iterator[tuple[str, str, str]]:
        """Yield (what, question, answer) of a sample of which `truth` is said; `every` is what is said of all."""
        wanted = self.settings
        if wanted.task == CAPTIONING:
            yield "caption", "", truth
            return
        if wanted.task == GENERATION:
            yield "drawn", wanted.phrase.format(truth), ""
            return
        if wanted.question:
            yield "question", wanted.question, truth
        if wanted.confirm:
            others = every[every != truth]
            right = not len(others) or derive(wanted.seed, "told", "right", sample) % 2 == 0
            drawn = derive(wanted.seed, "told", "wrong", sample)
            thing = truth if right else str(others[drawn % len(others)])
            yield "confirm", wanted.confirm.format(thing), "yes" if right else "no"


def classes(dataset: Dataset) -> list[str]:
    """Return the name of each sample's class, empty where it has none."""
    names = [*dataset.class_names, ""]  # -1, no class, reads the last
    return [names[target] for target in dataset.samples.targets.tolist()]


def gaps(text: str) -> list[str]:
    """Return the names of what is put into a text.

    Examples
    --------
    >>> gaps("is it {}?"), gaps("it is"), gaps("{a}")
    ([''], [], ['a'])
    """
    return [name for _, name, _, _ in string.Formatter().parse(text) if name is not None]
