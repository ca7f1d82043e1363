"""stamps: read from a folder like the package's, and, where it is on this machine, the package itself."""

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from polymnia.data.source import SOURCES
from polymnia.data.sources.stamps import read_stamps
from polymnia.errors import DataError, SettingsError

Stamps = SOURCES.get("stamps")
LETTERS = "symbols/alphabets/english"


def put(root: Path, name: str, *suffixes: str, text: str | bytes | None = None) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    for suffix in suffixes:
        path.with_name(path.name + suffix).write_bytes(b"content")
    if text is not None:
        path.with_name(path.name + ".txt").write_bytes(text if isinstance(text, bytes) else text.encode())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "unpacked" / "usr/share/tuxpaint/stamps"
    put(root, "animals/cow", ".png", ".svg", ".ogg", "_desc_fr.ogg", "_desc.ogg", text="A cow.\nfr.utf8=Une vache.\n")
    put(root, "animals/cow_white", ".svg", "_desc_fr.ogg", text="A white cow.\nfr.utf8=Une vache blanche.\n")
    put(root, "animals/cartoon/hen", ".png", text="A hen.\r\npt_BR.utf8=Uma galinha.\r\nfr.utf8=\r\n")
    put(root, "food/milk", ".png", "_desc_pt_BR.wav", "_desc_da.ogg.ogg", text="A cow.\n")
    put(root, "food/bread_mirror", ".png")
    put(root, "food/ghost", "_desc_fr.ogg", text="No picture.\n")
    put(root, "food/broken", ".png", text=b"\xff\xfe\xff")
    put(root, "README", ".png", text="Not a stamp.\n")
    return tmp_path / "unpacked"


def load(folder: Path, **settings):
    return Stamps(Stamps.Settings(path=str(folder), **settings)).load()


def test_a_stamp_is_a_picture_with_a_text(folder):
    dataset = load(folder, modalities=("image", "text", "audio", "sound"))
    samples, root = dataset.samples, folder / "usr/share/tuxpaint/stamps"
    assert samples.ids.tolist() == ["animals/cartoon/hen", "animals/cow", "animals/cow_white", "food/milk"]
    assert dataset.class_names == ("animals", "food") and samples.targets.tolist() == [0, 0, 0, 1]
    assert dataset.kinds == {"audio": "audio", "image": "image", "sound": "audio", "text": "text"}
    assert samples[1].values == {
        "image": root / "animals/cow.png",
        "text": "A cow.",
        "audio": root / "animals/cow_desc_fr.ogg",
        "sound": root / "animals/cow.ogg",
    }
    assert samples[2].values["image"] == root / "animals/cow_white.svg"
    assert set(samples[0].values) == {"image", "text"}
    assert samples.columns["style"].tolist() == ["cartoon", "other", "other", "other"]


def test_near_duplicates_are_one_group(folder):
    group = load(folder).samples.columns["group"]
    assert group[1] == group[2] == group[3] != group[0]


def test_a_text_that_is_no_utf8_is_set_aside(folder):
    (left,) = load(folder).rejected
    assert left.id == "food/broken" and left.modality == "text" and "cannot be read as UTF-8" in left.reason


def test_languages(folder):
    english = load(folder, language="en").samples
    assert english.present["audio"].tolist() == [False, True, False, False]
    brazil = load(folder, language="pt_BR", caption_language="pt_BR").samples
    assert brazil[3].values["audio"].name == "milk_desc_pt_BR.wav"
    assert brazil.present["text"].tolist() == [True, False, False, False] and brazil[0].values["text"] == "Uma galinha."
    with pytest.raises(SettingsError, match=r"stream.language: no stamp has 'de'. There are: fr \(2\), en \(1\)"):
        load(folder, language="de")
    with pytest.raises(SettingsError, match=r"caption_language: no stamp has 'xx'. There are: en \(4\)"):
        load(folder, caption_language="xx")
    assert load(folder, language="xx", modalities=("image",)).kinds == {"image": "image"}, "it is not asked for"


def test_one_sample_a_stamp_and_language(folder):
    dataset = load(folder, languages=("fr", "en"), modalities=("image", "text", "audio", "sound"))
    samples = dataset.samples
    assert dataset.class_names == ("animals",), "food has nothing in French, so it is no class"
    assert samples.ids.tolist() == [
        "animals/cow:fr", "animals/cow_white:fr", "animals/cartoon/hen:en", "animals/cow:en", "animals/cow_white:en",
    ]  # fmt: skip
    assert samples.columns["domain"].tolist() == ["fr", "fr", "en", "en", "en"]
    french, english = samples[0].values, samples[3].values
    assert (french["text"], english["text"]) == ("Une vache.", "A cow.")
    assert (french["audio"].name, english["audio"].name) == ("cow_desc_fr.ogg", "cow_desc.ogg")
    assert french["image"] == english["image"] and french["sound"] == english["sound"]
    group = samples.columns["group"]
    assert len({group[0], group[1], group[3], group[4]}) == 1 and group[2] != group[0]


def test_classes_need_stamps_enough_in_every_language(folder):
    assert load(folder, languages=("fr", "en"), min_per_class=2).class_names == ("animals",)
    with pytest.raises(DataError, match=r"no class of .* has 3 samples with image, text, audio in each of fr, en"):
        load(folder, languages=("fr", "en"), min_per_class=3)


def test_wrong_languages(folder):
    with pytest.raises(SettingsError, match="languages: neither text nor audio is asked for"):
        load(folder, languages=("fr",), modalities=("image",))
    with pytest.raises(SettingsError, match="fr, fr names a language twice"):
        load(folder, languages=("fr", "fr"))
    with pytest.raises(SettingsError, match=r"stream.languages: no stamp has 'de'"):
        load(folder, languages=("fr", "de"))


def test_small_classes_are_left_out(folder):
    assert load(folder, min_per_class=2).class_names == ("animals",)
    with pytest.raises(DataError, match=r"no class of .* has 9 samples with image, text, audio"):
        load(folder, min_per_class=9)


def test_stamps_without_anything_that_is_asked_for_are_none(folder):
    assert load(folder, modalities=("sound",)).samples.ids.tolist() == ["animals/cow"]


def test_one_stamp_a_caption(folder):
    dataset = load(folder, deduplicate=True)
    assert dataset.samples.ids.tolist() == ["animals/cartoon/hen", "animals/cow", "animals/cow_white"]


def test_the_folder_of_stamps_itself_may_be_given(folder):
    assert len(load(folder / "usr/share/tuxpaint/stamps").samples) == 4


def test_wrong_settings(folder, tmp_path):
    with pytest.raises(SettingsError, match="no such modality: 'speech'"):
        load(folder, modalities=("image", "speech"))
    with pytest.raises(DataError, match="is not a folder"):
        load(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no stamps"):
        load(tmp_path / "empty")


def test_a_machine_without_stamps_says_how_to_get_them(monkeypatch, tmp_path):
    monkeypatch.setattr("polymnia.data.sources.stamps.INSIDE", Path("nowhere"))  # also where the package is installed
    monkeypatch.setenv("POLYMNIA_HOME", str(tmp_path))
    assert not Stamps.available()
    with pytest.raises(DataError, match=r"polymnia data get stamps; or give path=FOLDER"):
        Stamps().load()


@pytest.fixture(scope="module")
def real():
    kind = Stamps.Settings(modalities=("image", "text", "audio", "sound"))
    return Stamps(kind).load()


@pytest.mark.stamps
def test_the_package_holds_what_the_card_says(real):
    counts = {m: int(there.sum()) for m, there in real.samples.present.items()}
    assert counts == {"image": 950, "text": 950, "audio": 925, "sound": 134} and not real.rejected
    sizes = np.bincount(real.samples.targets.numpy())
    assert len(real.class_names) == 16 and (sizes >= 20).sum() == 11
    files = [v for m in ("image", "audio", "sound") for v in real.samples.values[m] if v is not None]
    assert all(path.is_file() for path in files)


@pytest.mark.stamps
def test_the_packages_near_duplicates_are_together(real):
    group = dict(zip(real.samples.ids.tolist(), real.samples.columns["group"].tolist(), strict=True))
    members = defaultdict(set)
    for name, family in group.items():
        members[family].add(name)
    for pair in (
        (
            "symbols/alphabets/english/filled/lowercase/a_filled",
            "symbols/alphabets/english/outlined/uppercase/Q_outline",
        ),
        ("symbols/money/us/coins/001penny", "symbols/money/us/coins/025quarter"),
        ("town/flags/redflag", "town/flags/checkeredflag"),
        ("animals/mammals/cats/lion", "animals/mammals/cats/lion-2"),
        ("animals/mammals/bovines/cow", "animals/mammals/bovines/cow_white"),
        ("military/fireman240a", "people/fireman240a"),
        ("vehicles/auto/sportscar", "vehicles/auto/sportscar3"),
    ):
        assert group[pair[0]] == group[pair[1]]
    assert group["animals/mammals/cats/lion"] != group["animals/mammals/cats/tiger"]
    assert 500 < len(members) < 620 and max(map(len, members.values())) == 104
    captions = defaultdict(set)
    for name, text in zip(real.samples.ids.tolist(), real.samples.values["text"], strict=True):
        captions[text].add(group[name])
    assert all(len(families) == 1 for families in captions.values())


@pytest.mark.stamps
def test_a_stream_over_the_package(cut_by):
    kind = Stamps.Settings(modalities=("image", "text", "audio", "sound"), min_per_class=20)
    stream = cut_by(Stamps(kind), "class-incremental", stages=5)
    sides = defaultdict(set)
    for stage in stream:
        assert len(stage.train) > 2 * len(stage.test) > 2 * len(stage.valid) > 0
        for side in ("train", "valid", "test"):
            samples = getattr(stage, side)
            assert set(samples.targets.tolist()) == set(stage.classes), "every class is on every side"
            for family in samples.columns["group"].tolist():
                sides[family].add(side)
    assert len(stream.class_names) == 11 and all(len(found) == 1 for found in sides.values())
    held = {side: sum(len(getattr(stage, side)) for stage in stream) for side in ("train", "valid", "test")}
    assert held == pytest.approx({"train": 630, "valid": 90, "test": 180}, abs=9)


@pytest.mark.stamps
def test_six_languages_are_six_domains_of_the_same_classes(cut_by):
    languages = ("fr", "ro", "ru", "ca", "bg", "es")
    source = Stamps(Stamps.Settings(languages=languages, min_per_class=20))
    stream = cut_by(source, "domain-incremental", order=languages)
    assert [stage.name for stage in stream] == [f"{n}-{language}" for n, language in zip(
        ("01", "02", "03", "04", "05", "06"), languages, strict=True
    )]  # fmt: skip
    sides = defaultdict(set)
    for stage, language in zip(stream, languages, strict=True):
        assert stage.classes == tuple(range(10)) and set(stage.train.columns["domain"].tolist()) == {language}
        assert len(stage.train) > 580 and len(stage.test) > 150 and len(stage.valid) > 70
        for side in ("train", "valid", "test"):
            samples = getattr(stage, side)
            assert set(samples.targets.tolist()) == set(range(10)), "every class is on every side in every language"
            for name, family in zip(samples.ids.tolist(), samples.columns["group"].tolist(), strict=True):
                sides[family].add(side)
                sides[name.rpartition(":")[0]].add(side)
    assert all(len(found) == 1 for found in sides.values())


@pytest.mark.stamps
def test_reading_the_package_twice_is_the_same(real):
    root = real.samples.values["image"][0].parents[2]
    assert [stamp.name for stamp in read_stamps(root)[0]] == sorted(stamp.name for stamp in read_stamps(root)[0])


def test_a_large_class_is_cut_to_the_same_stamps(folder):
    few, again = (load(folder, max_per_class=2).samples.ids.tolist() for _ in range(2))
    assert few == again and len(few) == 3 and "food/milk" in few
    both = load(folder, max_per_class=1, modalities=("image", "text"), languages=("en", "fr")).samples
    assert {name.split(":")[0] for name in both.ids if name.startswith("animals")} <= {
        "animals/cow",
        "animals/cow_white",
    }
