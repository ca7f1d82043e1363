"""`samsemo`: SAMSEMO, emotions in five languages as video, speech and text."""

import csv
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from polymnia.data.clips import Clip, dataset_of, found, lines_of, root_of
from polymnia.data.modality import Raw
from polymnia.data.source import Dataset, Source, check_modalities, register
from polymnia.data.stage import Card, Rejected
from polymnia.errors import DataError, SettingsError, unknown

KINDS = {"audio": "audio", "text": "text", "video": "video"}
LANGUAGES = ("en", "de", "es", "pl", "ko")
EMOTIONS = ("neutral", "happiness", "sadness", "anger", "fear", "disgust", "surprise")
TABLE, LISTS = "metadata/samsemo.tsv", "metadata/splits"
NEEDS = (TABLE, LISTS, "data")


@register("samsemo")
class SAMSEMO(Source):
    """Utterances from films and shows with the emotion that annotators agreed on; the domain is the language.

    Modalities: `video` (MP4), `audio` (WAV; the MP4's own sound where there is none), `text` (the transcript). Layout:
    `metadata/samsemo.tsv` with the columns utterance_id, language, aggregated_emotions and transcript;
    `metadata/splits/{train,valid,test}_split_<LANGUAGE>.txt`, an utterance a line; and the unpacked archives as
    `data/<LANGUAGE>/<utterance_id>/` with one `.mp4` and one `.wav` (frames as `.jpg` beside them are not needed).
    The table's columns and the folders' files are from the data card, the names of the lists and of `audio.wav` from
    its makers' program; files beside the folder, such as `data/<LANGUAGE>/<utterance_id>.mp4`, are found too.

    An utterance with several aggregated emotions, or with one that is not asked for, is left out (and not counted as
    broken): the task here has one label a sample. Columns: `domain` (en, de, es, pl, ko), `split`, `movie`, `sex`,
    `age`. The official split is by utterance, so that one film may be on two sides; with `split: movie` it is drawn
    anew, and a film, as `group`, stays on one side.

    Source: Bujnowski et al. 2024, "SAMSEMO: new dataset for multilingual and multimodal emotion recognition",
    Interspeech.
    """

    card = Card(
        title="SAMSEMO: multilingual and multimodal emotion recognition (about 23,000 utterances, 5 languages)",
        licence="CC BY 4.0 (code and lists, by its repository); each film has its own licence, named in the table",
        citation="P. Bujnowski, B. Kuzma, B. Paziewski, J. Rutkowski, J. Marhula, Z. Bordzicka, P. Andruszkiewicz "
        "(2024). SAMSEMO: New dataset for multilingual and multimodal emotion recognition. Interspeech, 2925–2929. "
        "doi:10.21437/Interspeech.2024-212",
        homepage="https://huggingface.co/datasets/SamsungNLP/SAMSEMO",
        notes="Labels are of three annotators, aggregated.",
        get="Download https://huggingface.co/datasets/SamsungNLP/SAMSEMO, keep metadata/ as it is, and unpack each "
        "language's archive in data/, so that there are data/EN/<utterance_id>/ and so on",
    )

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """Where it is, and what of it."""

        path: str | None = None
        modalities: tuple[str, ...] = ("video", "audio", "text")
        languages: tuple[str, ...] = LANGUAGES
        emotions: tuple[str, ...] = EMOTIONS
        """The classes, in this order."""
        split: str = "official"
        """official, or movie."""

    settings: Settings

    def load(self) -> Dataset:
        """Return every utterance that is there and has one emotion."""
        asked = self.settings
        check_modalities(asked.modalities, KINDS)
        strange = [language for language in asked.languages if language not in LANGUAGES]
        if strange or not asked.languages:
            raise SettingsError(f"stream.languages: {unknown('language', (strange or [''])[0], LANGUAGES)}")
        if asked.split not in ("official", "movie"):
            raise SettingsError(f"stream.split: {asked.split!r} is given; accepted: official, movie")
        root = root_of(self.name, asked.path, NEEDS, self.card)
        rejected: list[Rejected] = []
        clips = list(self._clips(root, rejected))
        return dataset_of(clips, KINDS, root=root, rejected=rejected, classes=asked.emotions)

    def _clips(self, root: Path, rejected: list[Rejected]) -> Iterator[Clip]:
        official = self.settings.split == "official"
        split = splits_of(root / LISTS, self.settings.languages) if official else {}
        for place, row in table_rows(root / TABLE):
            name, language = row["utterance_id"], row["language"].lower()
            if language not in self.settings.languages:
                continue
            said = emotions_of(row["aggregated_emotions"])
            reason, broken = "", False
            if not name:
                reason, broken = "has no utterance_id", True
            elif len(said) != 1 or said[0] not in self.settings.emotions:
                reason = f"its emotion is {' and '.join(said) or 'not given'}, not one alone of those asked for"
            elif official and name not in split:
                reason = "is in none of the official lists"
            if reason:
                rejected.append(Rejected(name or place, "", row["aggregated_emotions"], reason, broken=broken))
                continue
            movie = name.rpartition("_")[0] or name
            side = {"split": split[name]} if official else {"group": movie}
            known = {"domain": language, "movie": movie, "sex": row.get("sex") or "", "age": row.get("age") or ""}
            yield Clip(id=name, label=said[0], values=self._values(root / "data", row), columns=side | known)

    def _values(self, data: Path, row: Mapping[str, str]) -> dict[str, Raw]:
        folder = data / row["language"].upper()
        name = row["utterance_id"]
        film = first_of(folder, name, ".mp4")
        sound = first_of(folder, name, ".wav")
        values: dict[str, Raw] = {"video": film, "audio": sound if sound.is_file() else film, "text": row["transcript"]}
        return {m: values[m] for m in self.settings.modalities if values[m]}

    @classmethod
    def available(cls) -> bool:
        """Return whether it lies where data sets usually do."""
        return found(cls.name, NEEDS)


def table_rows(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield (place, row) of the table; every cell is a text."""
    lines = [line for _, line in lines_of(path)]
    rows = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    lacking = sorted({"utterance_id", "language", "aggregated_emotions", "transcript"} - set(rows.fieldnames or ()))
    if lacking:
        raise DataError(f"{path} has no column {', '.join(lacking)}. Its columns: {', '.join(rows.fieldnames or ())}")
    for number, row in enumerate(rows, start=2):
        yield f"samsemo.tsv line {number}", {k: (v or "").strip() for k, v in row.items() if isinstance(k, str)}


def splits_of(folder: Path, languages: tuple[str, ...]) -> dict[str, str]:
    """Return utterance → split from the official lists; one that is on several sides is where it is tested.

    Raises
    ------
    DataError
        A language has no list.
    """
    split: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for side in ("train", "valid", "test"):
        for language in languages:
            path = folder / f"{side}_split_{language.upper()}.txt"
            if path.is_file():
                names = [line.strip() for _, line in lines_of(path)]
                split.update(dict.fromkeys(names, side))
                counts[language] += len(names)
    lacking = [language for language in languages if not counts[language]]
    if lacking:
        raise DataError(
            f"{folder} holds no list of {', '.join(lacking)} (such as train_split_{lacking[0].upper()}.txt)"
        )
    return split


def emotions_of(cell: str) -> list[str]:
    """Return the emotions of a cell, however it parts them.

    Examples
    --------
    >>> emotions_of("happiness"), emotions_of("['anger', 'sadness']"), emotions_of("Fear; surprise"), emotions_of("")
    (['happiness'], ['anger', 'sadness'], ['fear', 'surprise'], [])
    """
    return list(dict.fromkeys(re.findall(r"\w+", cell.lower())))


def first_of(folder: Path, name: str, suffix: str) -> Path:
    """Return an utterance's file of a kind: in its own folder, or beside it; where neither is, where it should be."""
    inside = sorted((folder / name).glob(f"*{suffix}"))
    beside = folder / f"{name}{suffix}"
    if inside:
        return inside[0]
    return beside if beside.is_file() else folder / name / f"{name}{suffix}"
