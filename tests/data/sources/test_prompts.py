"""prompts: read from folders as the packages lay them out, and, where they are on this machine, the packages."""

import gzip
from collections import Counter, defaultdict

import pytest

from polymnia.data.modality import MODALITIES
from polymnia.data.source import SOURCES
from polymnia.errors import DataError, SettingsError

Prompts = SOURCES.get("prompts")
there = pytest.mark.prompts

SPOKEN = {
    "en": ("en_US_f_Allison", ["hello", "beep", "letters/at", "digits/1", "digits/h-1", "silence/1", "old"]),
    "fr": ("fr_CA_f_June", ["hello", "beep", "letters/at", "digits/1", "digits/h-1", "silence/1"]),
    "it": ("it_IT_m_Carlo", ["hello", "letters/o"]),
}
WRITTEN = {
    "en": "; Core Sounds\n\nhello: Hello: there.\nbeep: [a tone]\nletters/at: at [@]\ndigits/1: one\ndigits/h-1: One!\n"
    "silence/1: (1 second of silence)\nno-file: Never spoken.\nhello: Again.\nnot a transcript\n",
    "fr": "hello: Bonjour à [vous].\nletters/at: arobase\ndigits/1: un\ndigits/h-1: premier\n",
    "it": "\ufeff; Elenco\nhello: Ciao…\nletters/O: o\n",
}


@pytest.fixture
def folder(tmp_path, write_sound):
    """Return a folder with a package beside another, as `get` leaves them."""
    for language, (voice, names) in SPOKEN.items():
        package = f"asterisk-core-sounds-{language}"
        for name in names:
            write_sound(tmp_path / f"{package}-wav/usr/share/asterisk/sounds/{voice}/{name}.wav", rate=8000)
        lines = tmp_path / f"{package}/usr/share/doc/{package}/core-sounds-{language}.txt.gz"
        lines.parent.mkdir(parents=True)
        lines.write_bytes(gzip.compress(WRITTEN[language].encode()))
    return tmp_path


def load(folder, **settings):
    return Prompts(Prompts.Settings(path=str(folder), **{"languages": ("en", "fr"), **settings})).load()


def test_a_prompt_and_language_is_a_sample(folder):
    dataset = load(folder)
    samples = dataset.samples
    assert samples.ids.tolist() == [
        "digits/1:en", "digits/h-1:en", "hello:en", "letters/at:en", "old:en",
        "digits/1:fr", "digits/h-1:fr", "hello:fr", "letters/at:fr",
    ]  # fmt: skip
    assert dataset.class_names == ("digits", "general", "letters")
    assert samples.targets.tolist() == [0, 0, 1, 2, 1, 0, 0, 1, 2]
    assert samples.columns["domain"].tolist() == ["en"] * 5 + ["fr"] * 4
    assert dataset.kinds == {"audio": "audio", "text": "text"}
    text = samples.values["text"].tolist()
    assert text == ["one", "One!", "Hello: there.", "at", None, "un", "premier", "Bonjour à vous.", "arobase"]
    assert samples.present["text"].tolist() == [True] * 4 + [False] + [True] * 4
    wave = MODALITIES.get("audio")().read(samples.values["audio"][0])
    assert wave.ndim == 1 and len(wave) > 1000


def test_who_does_not_speak_in_one_language_does_in_none(folder):
    """The French beep has no transcript; the English one says what it is, although English is not asked for."""
    assert load(folder, languages=("fr",)).samples.ids.tolist() == [
        "digits/1:fr", "digits/h-1:fr", "hello:fr", "letters/at:fr",
    ]  # fmt: skip


def test_all_languages_of_a_prompt_and_all_prompts_of_the_same_words_are_one_group(folder):
    group = dict(zip((samples := load(folder).samples).ids.tolist(), samples.columns["group"].tolist(), strict=True))
    assert group["hello:en"] == group["hello:fr"] != group["letters/at:en"]
    assert len({group[f"digits/{name}:{language}"] for name in ("1", "h-1") for language in ("en", "fr")}) == 1
    assert group["old:en"] not in {g for name, g in group.items() if name != "old:en"}
    assert set(load(folder, languages=("fr",)).samples.columns["group"]) <= set(group.values()), "whatever is asked for"


def test_a_name_in_other_letters_is_found(folder):
    italian = load(folder, languages=("it",)).samples
    assert italian.ids.tolist() == ["hello:it", "letters/o:it"] and italian.values["text"].tolist() == ["Ciao…", "o"]


def test_lines_that_are_no_transcripts_are_set_aside(folder):
    (left,) = load(folder).rejected
    assert left.id == "core-sounds-en.txt.gz line 11" and left.value == "not a transcript"


def test_only_what_is_whole_in_every_language(folder):
    samples = load(folder, languages=("en", "fr", "it"), complete=True).samples
    assert samples.ids.tolist() == ["hello:en", "hello:fr", "hello:it"]
    assert load(folder, complete=True, min_per_class=4).class_names == ("digits",)
    with pytest.raises(DataError, match="no class of the prompts has 9 samples"):
        load(folder, min_per_class=9)


def test_packages_unpacked_into_one_folder(folder, tmp_path):
    import shutil

    one = tmp_path.with_name(tmp_path.name + "-one")
    for package in folder.iterdir():
        shutil.copytree(package, one, dirs_exist_ok=True)
    assert load(one).samples.ids.tolist() == load(folder).samples.ids.tolist()


def test_wrong_settings(folder, tmp_path):
    with pytest.raises(SettingsError, match="no such language: 'xx'"):
        load(folder, languages=("en", "xx"))
    with pytest.raises(SettingsError, match="en, en; name some, each once"):
        load(folder, languages=("en", "en"))
    with pytest.raises(SettingsError, match="no such modality: 'speech'"):
        load(folder, modalities=("speech",))
    with pytest.raises(DataError, match="is not a folder"):
        load(tmp_path / "nowhere")
    (tmp_path / "nothing").mkdir()
    with pytest.raises(DataError, match="holds no prompts"):
        load(tmp_path / "nothing")
    broken = folder / "asterisk-core-sounds-fr/usr/share/doc/asterisk-core-sounds-fr/core-sounds-fr.txt.gz"
    broken.write_bytes(b"plain")
    with pytest.raises(DataError, match="is not a readable list of transcripts"):
        load(folder)


def test_a_machine_without_prompts_says_how_to_get_them(monkeypatch, tmp_path):
    monkeypatch.setenv("POLYMNIA_HOME", str(tmp_path))
    assert not Prompts.available()
    with pytest.raises(DataError, match=r"polymnia data get prompts; or give path=FOLDER"):
        Prompts().load()


@there
def test_the_packages_hold_what_the_card_says():
    dataset = Prompts().load()
    samples = dataset.samples
    assert Counter(samples.columns["domain"].tolist()) == {"en": 551, "fr": 544, "es": 510, "it": 582}
    assert (len(samples), int(samples.present["text"].sum()), int(samples.present["audio"].sum())) == (2187, 2119, 2187)
    assert dataset.class_names == ("dictate", "digits", "followme", "general", "letters", "phonetic")
    assert not dataset.rejected and len(set(samples.columns["group"].tolist())) == 548
    whole = Prompts(Prompts.Settings(complete=True)).load().samples
    assert len(whole) == 1780 and len(set(whole.columns["group"].tolist())) == 406
    said = dict(zip(samples.ids.tolist(), samples.values["text"].tolist(), strict=True))
    assert (said["digits/1:en"], said["digits/1:fr"], said["digits/1:it"]) == ("one", "un", "uno")
    assert said["phonetic/k_p:fr"] == "kilo" and said["digits/0:es"] == "cero" and said["letters/at:en"] == "at"
    assert not any(mark in (text or "") for text in said.values() for mark in "[]<>")
    audio = MODALITIES.get("audio")()
    assert all(len(audio.read(file)) > 1000 for file in samples.values["audio"][::100])


@there
def test_pairs_over_the_packages(cut_by):
    (stage,) = cut_by(Prompts(), "pairing")
    assert stage.modalities == ("audio", "text") and len(stage.train) + len(stage.valid) + len(stage.test) == 2119
    sides = defaultdict(set)
    for side in ("train", "valid", "test"):
        samples = getattr(stage, side)
        assert len(samples) > 150 and set(samples.columns["domain"].tolist()) == {"en", "fr", "es", "it"}
        for name in samples.ids.tolist():
            sides[name.rpartition(":")[0]].add(side)
    assert all(len(found) == 1 for found in sides.values()), "a prompt is on one side in all languages"
