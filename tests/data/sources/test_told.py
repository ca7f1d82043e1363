"""told: a manifest of captions, sounds and classes, put into words; and, where they are, the stamps and prompts."""

import csv
import json
from collections import Counter
from pathlib import Path

import pytest

from polymnia.data.source import SOURCES
from polymnia.errors import DataError, SettingsError
from polymnia.training.build import build_stream

Told = SOURCES.get("told")


@pytest.fixture
def farm(tmp_path, write_sound):
    """Forty animals of three classes, the last one without a sound and the one before without a caption."""
    write_sound(tmp_path / "a.ogg", seconds=0.1)
    kinds = ["farm_animal"] * 20 + ["BIRD"] * 10 + ["fish"] * 10
    rows = [
        [f"a{i}", "" if i == 38 else f"Animal ({i})!", "" if i == 39 else "a.ogg", kind, "g" if i < 2 else "", "loud"]
        for i, kind in enumerate(kinds)
    ]
    with (tmp_path / "farm.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["id", "caption", "sound", "label", "group", "domain"], *rows])
    return {"name": "manifest", "path": str(tmp_path / "farm.csv")}


def load(of, **settings):
    return Told(Told.Settings(**{"of": of, "see": "sound", **settings})).load()


def test_captions_are_said_of_what_is_seen(farm):
    dataset = load(farm, say="caption", see_as="audio")
    samples = dataset.samples
    assert dataset.kinds == {"audio": "audio"} and samples.modalities == ("audio",)
    one = samples[3]
    assert one.id == "a3#caption" and one.values["audio"] == Path(farm["path"]).parent / "a.ogg"
    assert one.columns["task"] == "captioning" and one.columns["prompt"] == "describe the audio."
    assert one.columns["answer"] == "animal 3" and json.loads(one.columns["references"]) == ["animal 3"]
    assert dataset.class_names[one.target] == "farm_animal" and one.columns["domain"] == "loud"
    left = {r.id: r.reason for r in dataset.rejected}
    assert len(samples) == 38 and left == {"a38": "nothing is said of it", "a39": "has no sound"}
    assert not any(r.broken for r in dataset.rejected)


def test_classes_and_columns_are_asked_for(farm):
    samples = load(farm, task="answering", question="who is it?").samples
    assert len(samples) == 39 and set(samples.columns["answer"].tolist()) == {"farm animal", "bird", "fish"}
    assert set(samples.columns["prompt"].tolist()) == {"who is it?"}
    assert set(load(farm, task="answering", about="domain").samples.columns["answer"].tolist()) == {"loud"}


def test_yes_and_no_are_balanced_drawn_once_and_true(farm):
    wanted = {"task": "answering", "question": "", "confirm": "is it a {}?"}
    samples = load(farm, **wanted).samples
    counts = Counter(samples.columns["answer"].tolist())
    assert set(counts) == {"yes", "no"} and 10 < counts["yes"] < 29
    names = ("BIRD", "farm_animal", "fish")
    for sample in samples:
        truth = names[sample.target].lower().replace("_", " ")
        assert (sample.columns["prompt"] == f"is it a {truth}?") == (sample.columns["answer"] == "yes")
    again, other = load(farm, **wanted).samples, load(farm, seed=1, **wanted).samples
    assert again.columns["prompt"].tolist() == samples.columns["prompt"].tolist()
    assert other.columns["prompt"].tolist() != samples.columns["prompt"].tolist()
    assert len(load(farm, task="answering", confirm="is it a {}?").samples) == 78, "both questions of each"


def test_groups_keep_all_that_is_said_of_one_item_together(farm):
    said = load(farm, say="caption").samples.columns["group"].tolist()
    asked = load(farm, task="answering", confirm="{}?").samples.columns["group"].tolist()
    assert said[0] == said[1] == asked[0] == asked[3] and len(set(said)) == 37
    assert set(said) <= set(asked), "one item has one group, whatever is asked about it"


def test_few_samples_are_always_the_same(farm):
    few, fewer = (load(farm, say="caption", samples=n).samples.ids.tolist() for n in (10, 5))
    assert len(few) == 10 and len(fewer) == 5 and set(fewer) < set(few)


def test_settings_that_do_not_fit(farm):
    with pytest.raises(SettingsError, match=r"stream\.of is empty; name it"):
        Told()
    with pytest.raises(SettingsError, match=r"stream\.of\.name: no such source: 'stampz'"):
        load({"name": "stampz"})
    with pytest.raises(SettingsError, match=r"stream\.see: no such modality: 'soudn'. Did you mean 'sound'"):
        load(farm, see="soudn")
    with pytest.raises(SettingsError, match=r"stream\.say: no such text or column: 'captoin'. Did you mean 'caption'"):
        load(farm, say="captoin")
    with pytest.raises(SettingsError, match=r"stream\.about: no such text or column: 'clas'. Did you mean 'class'"):
        load(farm, task="answering", about="clas")
    with pytest.raises(SettingsError, match=r"stream\.confirm: 'is it\?' needs one \{\}"):
        load(farm, task="answering", confirm="is it?")
    with pytest.raises(SettingsError, match="nothing is asked"):
        load(farm, task="answering", question="")
    with pytest.raises(SettingsError, match="samples: 0 is given"):
        load(farm, samples=0)


def test_nothing_to_say(farm):
    whole = Path(farm["path"]).read_text(encoding="utf-8").splitlines()
    Path(farm["path"]).write_text("\n".join([whole[0], *whole[-2:]]), encoding="utf-8")
    with pytest.raises(DataError, match="no sample of manifest has sound and something that is said of it"):
        load(farm, say="caption")


def test_two_tasks_about_one_source_are_one_stream(farm):
    told = {"name": "told", "of": farm, "see": "sound", "see_as": "audio"}
    sources = [{**told, "called": "said", "say": "caption"}, {**told, "called": "asked", "task": "answering"}]
    order = ["answering audio", "captioning audio"]
    stream = build_stream({"name": "together", "scenario": "tasks", "order": order, "sources": sources}, seed=0)
    assert [(stage.task, stage.modalities) for stage in stream] == [
        ("answering", ("audio",)),
        ("captioning", ("audio",)),
    ]
    trained, tested = ({str(g) for stage in stream for g in getattr(stage, side).columns["group"]}
                       for side in ("train", "test"))  # fmt: skip
    assert tested and not trained & tested
    assert stream.kinds == {"audio": "audio"}


@pytest.mark.stamps
def test_english_of_spoken_french():
    stamps = {"name": "stamps", "modalities": ["audio", "text"]}
    french = load(stamps, see="audio").samples
    assert len(french) == 925 and "a frog" in french.columns["answer"].tolist()


@pytest.mark.prompts
def test_transcripts_of_the_prompts():
    samples = load({"name": "prompts", "languages": ["en"]}, see="audio").samples
    assert len(samples) == 551 and "you are now muted" in samples.columns["answer"].tolist()


def test_pictures_are_drawn_from_what_is_said_of_them(tmp_path, write_picture):
    rows = [["id", "picture", "caption", "label"], *([f"a{i}", f"{i}.png", f"A cow ({i})!", "a_cow"] for i in range(4))]
    for i in range(4):
        write_picture(tmp_path / f"{i}.png", grey=40 * i)
    with (tmp_path / "farm.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([*rows, ["b", "0.png", "a pig", "pig"], ["c", "1.png", "", "pig"]])
    of = {"name": "manifest", "path": str(tmp_path / "farm.csv")}
    dataset = load(of, see="picture", see_as="image", task="generation", say="caption")
    one = dataset.samples[2]
    assert one.id == "a2#drawn" and one.values["image"] == tmp_path / "2.png" and dataset.kinds == {"image": "image"}
    assert one.columns["task"] == "generation" and one.columns["prompt"] == "draw a cow 2."
    assert json.loads(one.columns["shows"]) == {"class": "a_cow"} and "answer" not in one.columns
    assert [left.id for left in dataset.rejected] == ["c"]
    wanted = {"task": "generation", "say": "class", "phrase": "the beast {}", "wordings": (1,)}
    samples = load(of, see="picture", **wanted).samples
    assert (
        samples.columns["prompt"].tolist()
        == ["a picture of the beast a cow:"] * 4 + ["a picture of the beast pig:"] * 2
    )
    with pytest.raises(SettingsError, match=r"stream\.phrase: 'beast' needs one \{\}"):
        load(of, see="picture", task="generation", phrase="beast")
    with pytest.raises(SettingsError, match=r"stream\.say: no such text or column: 'clas'. Did you mean 'class'"):
        load(of, see="picture", task="generation", say="clas")


def test_what_is_no_picture_is_not_drawn(farm):
    with pytest.raises(SettingsError, match="'sound' is audio; what is drawn is an image"):
        load(farm, task="generation", say="caption")


def test_a_stage_may_ask_in_other_words(farm):
    samples = load(farm, say="caption", wordings=(3, 13)).samples
    assert set(zip(samples.columns["prompt"], samples.columns["wording"], strict=True)) == {
        ("give the sound a caption.", "3"), ("caption:", "13"),
    }  # fmt: skip
    with pytest.raises(SettingsError, match="numbers from 0 to 14"):
        load(farm, say="caption", wordings=(15,))


@pytest.mark.clipart
def test_clipart_is_drawn_from_its_titles():
    samples = load({"name": "clipart", "max_per_class": 5, "captioned": True}, see="image", task="generation").samples
    assert len(samples) > 20 and all(p.startswith("draw ") for p in samples.columns["prompt"].tolist())
    assert all(json.loads(shows)["class"] for shows in samples.columns["shows"].tolist())


def test_captions_of_a_published_set_are_drawn(tmp_path, write_set):
    of = {"name": "flickr30k", "path": str(write_set("flickr30k", tmp_path / "flickr30k")), "references": 1}
    samples = load(of, see="image", task="generation", say="answer").samples
    assert len(samples) == 6 and samples[0].columns["prompt"].startswith("draw a dog, number")
    assert samples.columns["shows"].tolist() == ["{}"] * 6 and not {"answer", "references"} & samples.columns.keys()
    assert set(samples.columns["split"]) == {"train", "valid", "test"}
