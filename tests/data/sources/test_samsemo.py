"""samsemo: a small folder in the layout of its data card, with real films and sounds."""

import pytest

from polymnia.config import typed
from polymnia.data.modality import MODALITIES
from polymnia.data.source import SOURCES
from polymnia.errors import DataError, SettingsError

SAMSEMO = SOURCES.get("samsemo")
COLUMNS = (
    "utterance_id",
    "movie_title",
    "language",
    "sex",
    "age",
    "aggregated_emotions",
    "transcript",
    "translation_en",
)
ORDER = ("en", "de", "es", "pl", "ko")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, write_clip, write_sound):
    """Return two emotions in five languages: two films, five utterances an emotion and language."""
    root = tmp_path_factory.mktemp("SAMSEMO")
    (root / "metadata" / "splits").mkdir(parents=True)
    rows = ["\t".join(COLUMNS)]
    for number, language in enumerate(ORDER):
        lists = {"train": [], "valid": [], "test": []}
        for e, emotion in enumerate(["happiness", "anger"]):
            for n in range(5):
                name = f"film{number}{n % 2}_{10 * e + n}"
                place = root / "data" / language.upper() / name
                write_clip(place / f"{name}.mp4", grey=40 * number + 90 * e)
                if n:
                    write_sound(place / "audio.wav", hertz=250)
                rows.append(
                    "\t".join([name, "A “film”", language.upper(), "female", "20-30", emotion, f'Ähm, "{e}"', ""])
                )
                lists["train" if n < 3 else ("valid", "test")[n - 3]].append(name)
        for side, names in lists.items():
            (root / "metadata" / "splits" / f"{side}_split_{language.upper()}.txt").write_text("\n".join(names) + "\n")
    (root / "metadata" / "samsemo.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return root


def load(folder, **settings):
    return SAMSEMO(typed(SAMSEMO.Settings, {"path": str(folder), **settings})).load()


def test_utterances_with_their_language_as_domain(folder):
    dataset = load(folder)
    samples = dataset.samples
    assert dataset.class_names == ("happiness", "anger") and len(samples) == 50 and not dataset.rejected
    assert dataset.kinds == {"audio": "audio", "text": "text", "video": "video"}
    row = samples[samples.ids.tolist().index("film20_2")]
    assert row.columns == {"label": "happiness", "domain": "es", "movie": "film20", "sex": "female", "age": "20-30",
                           "split": "train"}  # fmt: skip
    assert row.values["text"] == 'Ähm, "0"' and row.values["audio"].name == "audio.wav"
    assert MODALITIES.get("audio")().read(row.values["audio"]).shape == (8000,)
    assert MODALITIES.get("video")().read(row.values["video"]).shape == (4, 16, 32, 3)
    without = samples[samples.ids.tolist().index("film20_0")].values
    assert without["audio"] == without["video"], "the film's own sound, where there is no WAV"


def test_five_languages_are_five_stages(folder, cut_by):
    stream = cut_by(SAMSEMO(SAMSEMO.Settings(path=str(folder))), "domain-incremental", order=ORDER)
    assert [stage.name for stage in stream] == ["01-en", "02-de", "03-es", "04-pl", "05-ko"]
    assert all((len(s.train), len(s.valid), len(s.test)) == (6, 2, 2) and s.classes == (0, 1) for s in stream)


def test_films_may_stay_on_one_side_instead(folder, cut_by):
    source = SAMSEMO(SAMSEMO.Settings(path=str(folder), split="movie"))
    group = source.load().samples.columns["group"].tolist()
    assert set(group) == {f"film{number}{n}" for number in range(5) for n in range(2)}
    sides = {"train": set(), "test": set()}
    for stage in cut_by(source, "class-incremental", stages=2, test=0.3):
        for side, films in sides.items():
            films |= set(getattr(stage, side).columns["movie"].tolist())
    assert sides["train"] and sides["test"] and not sides["train"] & sides["test"]


def test_what_has_not_one_emotion_is_left_out_and_what_is_not_there_set_aside(folder, tmp_path):
    (tmp_path / "data").symlink_to(folder / "data")
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata" / "splits").symlink_to(folder / "metadata" / "splits")
    text = (folder / "metadata" / "samsemo.tsv").read_text(encoding="utf-8")
    text = text.replace(
        "film00_0\tA “film”\tEN\tfemale\t20-30\thappiness", "film00_0\tA “film”\tEN\tfemale\t20-30\tanger, fear"
    )
    text = text.replace("film10_0\tA “film”\tDE", "film10_99\tA “film”\tDE")
    text += "\tno name\tEN\t\t\tanger\thm\t\n"
    (tmp_path / "metadata" / "samsemo.tsv").write_text(text, encoding="utf-8")
    left = {r.id: (r.reason, r.broken) for r in load(tmp_path).rejected}
    assert left == {
        "film00_0": ("its emotion is anger and fear, not one alone of those asked for", False),
        "film10_99": ("is in none of the official lists", False),
        "samsemo.tsv line 52": ("has no utterance_id", True),
    }
    gone = load(tmp_path, split="movie", languages=("de",)).rejected
    assert [(r.id, r.modality, r.reason, r.broken) for r in gone] == [
        ("film10_99", "video", "there is no such file", True)
    ]
    assert load(folder, emotions=("anger", "happiness")).class_names == ("anger", "happiness")


def test_wrong_settings_and_no_data(folder, tmp_path, monkeypatch):
    with pytest.raises(SettingsError, match="no such language: 'fr'"):
        load(folder, languages=("fr",))
    with pytest.raises(SettingsError, match=r"stream.split: 'random' is given; accepted: official, movie"):
        load(folder, split="random")
    monkeypatch.setenv("POLYMNIA_HOME", str(tmp_path))
    assert not SAMSEMO.available()
    with pytest.raises(DataError, match=r"Download https://huggingface.co/datasets/SamsungNLP/SAMSEMO"):
        SAMSEMO().load()
    (tmp_path / "metadata" / "splits").mkdir(parents=True)
    (tmp_path / "data").mkdir()
    (tmp_path / "metadata" / "samsemo.tsv").write_text("utterance_id\tlanguage\n")
    with pytest.raises(DataError, match="holds no list of en, de, es, pl, ko"):
        load(tmp_path)
    with pytest.raises(
        DataError, match=r"has no column aggregated_emotions, transcript. Its columns: utterance_id, language"
    ):
        load(tmp_path, split="movie")
