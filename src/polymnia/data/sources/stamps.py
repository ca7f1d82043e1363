"""`stamps`: Tux Paint's 950 stamps as picture, caption, spoken description and sound effect."""

import hashlib
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from polymnia.data.families import families
from polymnia.data.fetch import data_folder, fetch_debian
from polymnia.data.modality import Raw
from polymnia.data.samples import Sample, Samples
from polymnia.data.source import Dataset, Source, check_modalities, given_folder, register
from polymnia.data.stage import Card, Rejected
from polymnia.errors import DataError, SettingsError

PACKAGE = "tuxpaint-stamps-default"
INSIDE = Path("usr/share/tuxpaint/stamps")
KINDS = {"image": "image", "text": "text", "audio": "audio", "sound": "audio"}
PICTURES, RECORDINGS = (".png", ".svg"), (".ogg", ".wav")
SPEECH = re.compile(r"(.+)_desc(?:_(\w+))?\.(?:ogg|wav)")
CAPTION = re.compile(r"([\w@]+)\.utf8=(.*)")


@register("stamps")
class Stamps(Source):
    """Pictures for children to paint with, described by volunteers; the class is the folder they are in.

    Modalities: `image` (the picture), `text` (the caption), `audio` (the caption spoken in a language), `sound`
    (what the thing sounds like). Not every stamp has speech in every language, and few have a sound.

    Near-duplicates are many (coins, flags, letters, colour variants), so each sample has a `group`, which no split
    parts: see `polymnia.data.families`. Other columns: `folder`, and `style` ("cartoon" or "other").

    With `languages`, each stamp gives one sample a language: its picture with the caption and the speech in that
    language, called "animals/cow:fr". Their column `domain` is the language, for the scenario domain-incremental; all
    languages of a stamp, and of its near-duplicates, are one `group`. A stamp without caption and speech in a language
    gives none there, and a class stays only if it has `min_per_class` stamps in every language.
    """

    card = Card(
        title="Tux Paint stamps (Debian package tuxpaint-stamps-default)",
        licence="GPL-2",
        citation="Bill Kendrick and the Tux Paint contributors (2002–2022). Tux Paint Stamps. New Breed Software.",
        homepage="https://tuxpaint.org/stamps/",
        notes="Version 2022.06.04: 950 pictures in 16 folders, 11 of which hold 20 or more; captions in 78 languages, "
        "French speech for 925, a sound for 134. Drawings and cut-out photographs; speech by volunteers.",
        get="polymnia data get stamps",
    )

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """Which modalities, in which languages, from where."""

        modalities: tuple[str, ...] = ("image", "text", "audio")
        language: str = "fr"
        """Of the spoken description."""
        caption_language: str = "en"
        languages: tuple[str, ...] = ()
        """One sample a stamp and language; `language` and `caption_language` then say nothing."""
        min_per_class: int = 1
        """Classes with fewer samples are left out; 20 leaves 11 classes."""
        max_per_class: int | None = None
        """Of larger classes, only so many stamps; always the same ones, those with the most languages first."""
        deduplicate: bool = False
        """Keep one stamp of those with the same English caption."""
        path: str | None = None
        """The unpacked package, or its folder of stamps, if it is not where `get` puts it."""

    settings: Settings

    def load(self) -> Dataset:
        """Return the stamps."""
        wanted, root = self.settings, self._root()
        check_modalities(wanted.modalities, KINDS)
        stamps, rejected = read_stamps(root)
        if not stamps:
            raise DataError(f"{root} holds no stamps: no picture with a .txt of the same name beside it")
        self._check_languages(stamps)
        group = families({stamp.name: stamp.captions["en"] for stamp in stamps})
        kept = one_a_caption(stamps) if wanted.deduplicate else stamps
        found = [(stamp, language, self._values(stamp, language)) for language in self._domains() for stamp in kept]
        found = [(stamp, language, values) for stamp, language, values in found if values]
        classes = self._classes((stamp.label, language) for stamp, language, _ in found)
        few = self._few(stamp for stamp, _, _ in found)
        samples = [
            Sample(
                f"{stamp.name}:{language}" if language else stamp.name,
                values,
                classes.index(stamp.label),
                stamp.columns(group[stamp.name]) | ({"domain": language} if language else {}),
            )
            for stamp, language, values in found
            if stamp.label in classes and stamp.name in few
        ]
        if not samples:
            asked = ", ".join(wanted.modalities)
            every = f" in each of {', '.join(wanted.languages)}" if wanted.languages else ""
            raise DataError(f"no class of {root} has {wanted.min_per_class} samples with {asked}{every}")
        columns = Samples.of(samples)
        kinds = {m: KINDS[m] for m in columns.modalities}
        return Dataset(samples=columns, class_names=tuple(classes), kinds=kinds, rejected=tuple(rejected))

    def _domains(self) -> tuple[str, ...]:
        """Return the languages to give samples in; one nameless one when there are no domains."""
        return self.settings.languages or ("",)

    def _classes(self, found: Iterable[tuple[str, str]]) -> list[str]:
        """Return the labels that have samples enough in every domain, of (label, domain) of each sample."""
        sizes = Counter(found)
        least = max(self.settings.min_per_class, 1)
        return [
            label
            for label in sorted({label for label, _ in sizes})
            if all(sizes[label, domain] >= least for domain in self._domains())
        ]

    def _few(self, found: Iterable["Stamp"]) -> set[str]:
        """Return the names of the stamps that stay where a class is larger than `max_per_class`."""
        every = list(found)
        times = Counter(stamp.name for stamp in every)
        of_label: dict[str, set[str]] = defaultdict(set)
        for stamp in every:
            of_label[stamp.label].add(stamp.name)
        ranked = (
            sorted(names, key=lambda name: (-times[name], hashlib.sha256(name.encode()).digest()))
            for names in of_label.values()
        )
        return {name for names in ranked for name in names[: self.settings.max_per_class]}

    def _check_languages(self, stamps: Sequence["Stamp"]) -> None:
        wanted = self.settings
        if wanted.languages and not {"audio", "text"} & set(wanted.modalities):
            raise SettingsError(
                "stream.languages: neither text nor audio is asked for, and nothing else has a language"
            )
        if len(set(wanted.languages)) < len(wanted.languages):
            raise SettingsError(f"stream.languages: {', '.join(wanted.languages)} names a language twice")
        setting = "languages" if wanted.languages else ""
        if "audio" in wanted.modalities:
            for language in wanted.languages or (wanted.language,):
                _check_language(setting or "language", language, (stamp.speech for stamp in stamps))
        if "text" in wanted.modalities:
            for language in wanted.languages or (wanted.caption_language,):
                _check_language(setting or "caption_language", language, (stamp.captions for stamp in stamps))

    def _values(self, stamp: "Stamp", domain: str) -> dict[str, Raw]:
        found: dict[str, Raw | None] = {
            "image": stamp.picture,
            "text": stamp.captions.get(domain or self.settings.caption_language),
            "audio": stamp.speech.get(domain or self.settings.language),
            "sound": stamp.sound,
        }
        values = {m: value for m in self.settings.modalities if (value := found[m])}
        return values if not domain or {"audio", "text"} & values.keys() else {}

    def _root(self) -> Path:
        if self.settings.path is None:
            root = found_root()
            if root is None:
                raise DataError(f"stamps are not on this machine. Get them with: {self.card.get}; or give path=FOLDER")
            return root
        given = given_folder(self.settings.path)
        return given / INSIDE if (given / INSIDE).is_dir() else given

    @classmethod
    def available(cls) -> bool:
        """Return whether the package was fetched, or is installed."""
        return found_root() is not None

    @classmethod
    def get(cls, into: Path | None = None) -> Path | None:
        """Fetch the Debian package (161 MB, 230 MB unpacked) unless it is there; return the folder of stamps."""
        there = found_root() if into is None else None
        return there or fetch_debian(PACKAGE, into or data_folder("stamps"), only=_wanted) / INSIDE


def found_root() -> Path | None:
    """Return the folder of stamps that was fetched, or else the one of the installed package, if any."""
    roots = (data_folder("stamps") / INSIDE, Path("/") / INSIDE)
    return next((root for root in roots if root.is_dir()), None)


def _wanted(member: str) -> bool:
    return f"{INSIDE.as_posix()}/" in member or member.endswith("/copyright")


def _check_language(setting: str, given: str, there: Iterable[Mapping[str, object]]) -> None:
    counts = Counter(language for each in there for language in each)
    if given not in counts:
        have = ", ".join(f"{name} ({count})" for name, count in counts.most_common())
        raise SettingsError(f"stream.{setting}: no stamp has {given!r}. There are: {have or 'none'}.")


@dataclass(frozen=True, kw_only=True)
class Stamp:
    """One stamp's files; the captions and the speech by language."""

    name: str
    picture: Path
    captions: Mapping[str, str]
    speech: Mapping[str, Path]
    sound: Path | None

    @property
    def label(self) -> str:
        """The top folder it is in."""
        return self.name.partition("/")[0]

    def columns(self, group: str) -> dict[str, str]:
        """Return what is known of it beside its values."""
        folder = self.name.rpartition("/")[0]
        style = "cartoon" if "cartoon" in folder.split("/") else "other"
        return {"label": self.label, "group": group, "folder": folder, "style": style}


def read_stamps(root: Path) -> tuple[list[Stamp], list[Rejected]]:
    """Return every picture that has a text of the same name, by name, and those whose text cannot be read."""
    stamps: list[Stamp] = []
    rejected: list[Rejected] = []
    for place, _, files in os.walk(root):
        folder, there = Path(place), set(files)
        speech: dict[str, dict[str, Path]] = defaultdict(dict)
        for file in sorted(there):
            if named := SPEECH.fullmatch(file):
                speech[named[1]][named[2] or "en"] = folder / file
        for stem in (file[:-4] for file in there if file.endswith(".txt") and folder != root):
            name = (folder / stem).relative_to(root).as_posix()
            pictures = [folder / (stem + suffix) for suffix in PICTURES if stem + suffix in there]
            sounds = [folder / (stem + suffix) for suffix in RECORDINGS if stem + suffix in there]
            try:
                captions = dict(_captions((folder / f"{stem}.txt").read_text(encoding="utf-8")))
            except (OSError, UnicodeDecodeError) as error:
                reason = f"cannot be read as UTF-8 text: {error}"
                rejected.append(Rejected(name, "text", str(folder / f"{stem}.txt"), reason))
                continue
            if pictures:
                sound = sounds[0] if sounds else None
                stamps.append(
                    Stamp(name=name, picture=pictures[0], captions=captions, speech=speech[stem], sound=sound)
                )
    return sorted(stamps, key=lambda stamp: stamp.name), sorted(rejected, key=lambda left: left.id)


def _captions(text: str) -> Iterator[tuple[str, str]]:
    """Yield (language, caption) of one file: the first line is English, the others say whose they are."""
    first, *others = text.splitlines() or [""]
    yield "en", first.strip()
    for line in others:
        named = CAPTION.fullmatch(line.strip())
        if named and named[2].strip():
            yield named[1], named[2].strip()


def one_a_caption(stamps: Sequence[Stamp]) -> list[Stamp]:
    """Return the stamps without those whose English caption came before."""
    first: dict[str, Stamp] = {}
    for stamp in stamps:
        first.setdefault(stamp.captions["en"] or stamp.name, stamp)
    return list(first.values())
