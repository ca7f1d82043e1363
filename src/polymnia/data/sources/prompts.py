"""`prompts`: the phrases that an Asterisk telephone exchange says, spoken and written, in four languages."""

import gzip
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from polymnia.data.families import linked
from polymnia.data.fetch import NOTE, data_folder, fetch_debian
from polymnia.data.modality import Raw
from polymnia.data.samples import Sample, Samples
from polymnia.data.source import Dataset, Source, check_modalities, given_folder, register
from polymnia.data.stage import Card, Rejected
from polymnia.errors import DataError, SettingsError, unknown

LANGUAGES = ("en", "fr", "es", "it")
SOUNDS = "usr/share/asterisk/sounds"
WRITTEN = "usr/share/doc/asterisk-core-sounds-{language}/core-sounds-{language}.txt.gz"
KINDS = {"audio": "audio", "text": "text"}
GENERAL = "general"
"""The class of prompts that are in no folder."""


@register("prompts")
class Prompts(Source):
    """Announcements, digits, letters and their names, one speaker a language; the class is the folder they are in.

    Modalities: `audio` (the prompt spoken, 8 kHz) and `text` (its transcript in the same language). The class tells
    digits, letters, phonetic alphabet, dictation, call forwarding ("followme") and the rest ("general") apart.

    One sample a prompt and language, called "digits/1:fr"; the column `domain` is the language, `folder` the class.
    The same prompt in several languages, and prompts with the same words in one, are one `group`, which no split
    parts. Tones, silences and screaming monkeys are left out: a transcript wholly in brackets, in any language that
    is there, says that nobody speaks. A prompt without a transcript is a sample without text.
    """

    card = Card(
        title="Asterisk core sounds (Debian packages asterisk-core-sounds-{en,fr,es,it} and -wav)",
        licence="CC BY-SA 3.0",
        citation="Allison Smith (en, es), June Wallack (fr) and Carlo Flora (it), for Digium and the contributors "
        "(2003–2012). Asterisk core sounds, version 1.6.1.",
        homepage="https://downloads.asterisk.org/pub/telephony/asterisk/",
        notes="Version 1.6.1: 2,187 recordings with words (en 551, fr 544, es 510, it 582) in 548 groups; 2,119 have a "
        "transcript. One speaker a language (fr is Canadian, es Mexican), 8 kHz. With `complete`, 1,780 in 406 groups.",
        get="polymnia data get prompts",
    )

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """Which languages and modalities, from where."""

        languages: tuple[str, ...] = LANGUAGES
        modalities: tuple[str, ...] = ("audio", "text")
        complete: bool = False
        """Only prompts that have all these modalities in all these languages."""
        min_per_class: int = 1
        """Classes with fewer samples are left out."""
        path: str | None = None
        """The folder into which the packages were unpacked, together or one beside the other."""

    settings: Settings

    def load(self) -> Dataset:
        """Return the prompts."""
        wanted = self.settings
        check_modalities(wanted.modalities, KINDS)
        if len(set(wanted.languages)) < len(wanted.languages) or not wanted.languages:
            raise SettingsError(f"stream.languages: {', '.join(wanted.languages) or 'none'}; name some, each once")
        voices, rejected = read_prompts(self._root())
        for language in wanted.languages:
            if language not in voices:
                raise SettingsError(f"stream.languages: {unknown('language', language, voices)}")
        silent = {name.casefold() for voice in voices.values() for name, said in voice.written.items() if nobody(said)}
        found = [
            (name, language, values)
            for language in wanted.languages
            for name, values in self._values(voices[language], silent)
        ]
        if wanted.complete:
            whole = Counter(name.casefold() for name, _, values in found if len(values) == len(set(wanted.modalities)))
            found = [entry for entry in found if whole[entry[0].casefold()] == len(wanted.languages)]
        sizes = Counter(label_of(name) for name, _, _ in found)
        classes = sorted(label for label, size in sizes.items() if size >= wanted.min_per_class)
        if not classes:
            raise DataError(f"no class of the prompts has {wanted.min_per_class} samples with what is asked for")
        group = groups({language: voice.written for language, voice in voices.items()})
        samples = Samples.of(
            [
                Sample(
                    f"{name}:{language}",
                    values,
                    classes.index(label_of(name)),
                    {
                        "label": label_of(name),
                        "folder": name.rpartition("/")[0],
                        "group": group.get(name.casefold(), name.casefold()),
                        "domain": language,
                    },
                )
                for name, language, values in found
                if label_of(name) in classes
            ]
        )
        kinds = {m: KINDS[m] for m in samples.modalities}
        return Dataset(samples=samples, class_names=tuple(classes), kinds=kinds, rejected=tuple(rejected))

    def _values(self, voice: "Voice", silent: set[str]) -> Iterator[tuple[str, dict[str, Raw]]]:
        """Yield the name and values of each prompt of one language in which somebody speaks."""
        for name, file in sorted(voice.spoken.items()):
            if name.casefold() not in silent:
                found: dict[str, Raw | None] = {"audio": file, "text": words_of(voice.written.get(name, ""))}
                values = {m: value for m in self.settings.modalities if (value := found[m])}
                if values:
                    yield name, values

    def _root(self) -> Path:
        if self.settings.path is None:
            if not self.available():
                raise DataError(f"prompts are not on this machine. Get them with: {self.card.get}; or give path=FOLDER")
            return data_folder("prompts")
        return given_folder(self.settings.path)

    @classmethod
    def available(cls) -> bool:
        """Return whether the packages of all four languages were fetched."""
        return all((data_folder("prompts") / package / NOTE).is_file() for package in packages())

    @classmethod
    def get(cls, into: Path | None = None) -> Path | None:
        """Fetch the eight Debian packages (about 85 MB) unless they are there; return the folder that holds them."""
        folder = (into or data_folder("prompts")).expanduser()
        for package in packages():
            fetch_debian(package, folder / package, only=_wanted)
        return folder


def packages() -> list[str]:
    """Return the Debian packages: a language's transcripts, and its recordings."""
    return [f"asterisk-core-sounds-{language}{part}" for language in LANGUAGES for part in ("", "-wav")]


def _wanted(member: str) -> bool:
    return member.endswith((".wav", ".txt.gz", "/copyright"))


@dataclass(frozen=True, kw_only=True)
class Voice:
    """One language: prompt → recording, and prompt → transcript as it stands in the list."""

    spoken: Mapping[str, Path]
    written: Mapping[str, str]


def read_prompts(root: Path) -> tuple[dict[str, Voice], list[Rejected]]:
    """Return language → its prompts, and the lines of transcripts that cannot be understood.

    Raises
    ------
    DataError
        The folder holds no recordings, or a list of transcripts cannot be read.
    """
    places = [root, *sorted(place for place in root.iterdir() if place.is_dir())]
    spoken: dict[str, dict[str, Path]] = defaultdict(dict)
    for sounds in (place / SOUNDS for place in places if (place / SOUNDS).is_dir()):
        for speaker in sorted(sounds.iterdir()):
            for file in sorted(speaker.rglob("*.wav")):
                name = file.relative_to(speaker).with_suffix("").as_posix()
                spoken[speaker.name.partition("_")[0]].setdefault(name, file)
    if not spoken:
        raise DataError(f"{root} holds no prompts: no .wav under {SOUNDS}/<voice>/, there or one folder below")
    voices: dict[str, Voice] = {}
    rejected: list[Rejected] = []
    for language, files in sorted(spoken.items()):
        lists = [place / WRITTEN.format(language=language) for place in places]
        written: dict[str, str] = {}
        for file in (file for file in lists if file.is_file()):
            lines, strange = read_transcripts(file)
            written |= lines
            rejected += [Rejected(f"{file.name} line {n}", "text", line, "has no colon") for n, line in strange]
        of_name = {name.casefold(): said for name, said in reversed(written.items())}
        voices[language] = Voice(spoken=files, written={name: of_name.get(name.casefold(), "") for name in files})
    return voices, rejected


def read_transcripts(file: Path) -> tuple[dict[str, str], list[tuple[int, str]]]:
    """Return prompt → transcript of lines such as "digits/1: one", the first where it comes twice, and odd lines."""
    try:
        text = gzip.decompress(file.read_bytes()).decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise DataError(f"{file} is not a readable list of transcripts: {error}") from None
    found: dict[str, str] = {}
    strange: list[tuple[int, str]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        name, colon, said = line.partition(":")
        if line.strip() and not line.startswith(";"):
            if colon:
                found.setdefault(name.strip(), said.strip())
            else:
                strange.append((number, line))
    return found, strange


def nobody(transcript: str) -> bool:
    """Return whether a transcript describes a noise and holds no words.

    Examples
    --------
    >>> [nobody(t) for t in ("[ascending tones]", "(beep)", "<beep ascending>", "[your] message", "at [@]", "")]
    [True, True, True, False, False, False]
    """
    return re.fullmatch(r"\[[^]]*\]|\([^)]*\)|<[^>]*>", transcript) is not None


def words_of(transcript: str) -> str:
    """Return what is said: signs in brackets are not, words in brackets are.

    Examples
    --------
    >>> words_of("at [@]"), words_of("[!] punto esclamativo"), words_of("Il [suo] messaggio")
    ('at', 'punto esclamativo', 'Il suo messaggio')
    """
    return " ".join(re.sub(r"[][]", "", re.sub(r"\[.?\]", "", transcript)).split())


def label_of(name: str) -> str:
    """Return the class of a prompt: its folder, or "general"."""
    return name.partition("/")[0] if "/" in name else GENERAL


def groups(written: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return prompt (in small letters) → group, of language → prompt → transcript."""
    shared: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for language, of_prompt in sorted(written.items()):
        for name, said in of_prompt.items():
            words = re.findall(r"\w+", words_of(said).casefold())
            shared[name.casefold()] += [(language, *words)] if words else []
    return linked(shared)
