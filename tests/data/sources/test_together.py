"""together: several sources as one, and one stream over the stamps and the furniture."""

import csv
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from polymnia.data.source import SOURCES
from polymnia.encoders.base import ENCODERS
from polymnia.encoders.encoding import encode_stream
from polymnia.errors import SettingsError
from polymnia.training.build import build_stream

Together = SOURCES.get("together")


def table(path: Path, columns: list[str], rows: list[list[str]]) -> str:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])
    return str(path)


@pytest.fixture
def farm(tmp_path, write_sound):
    """Captions and sounds of six animals, two of a group, one without a sound."""
    for i in range(5):
        write_sound(tmp_path / f"{i}.ogg", hertz=200 + 100 * i, seconds=0.1)
    rows = [[f"a{i}", f"animal {i}", "" if i == 5 else f"{i}.ogg", "cow" if i % 2 else "hen", "g" if i < 2 else ""]
            for i in range(6)]  # fmt: skip
    return table(tmp_path / "farm.csv", ["id", "caption", "sound", "label", "group"], rows)


@pytest.fixture
def zoo(tmp_path):
    """Captions and pictures of four animals, one of a class that the farm has too, and a row that is none."""
    for i in range(4):
        Pillow.new("RGB", (8, 8), (50 * i, 0, 0)).save(tmp_path / f"{i}.png")
    rows = [[f"a{i}", f"beast {i}", f"{i}.png", "hen" if i == 0 else "yak", "north"] for i in range(4)]
    return table(
        tmp_path / "zoo.csv", ["id", "caption", "image", "label", "domain"], [*rows, ["bad", "x", "x.png", "", ""]]
    )


def load(*sources, **settings):
    return Together(Together.Settings(sources=sources, **settings)).load()


def entry(path, called, **more):
    return {"name": "manifest", "path": path, "called": called, **more}


def test_samples_of_one_source_follow_those_of_another(farm, zoo):
    dataset = load(entry(farm, "farm"), entry(zoo, "zoo"))
    samples = dataset.samples
    assert samples.ids.tolist() == [f"farm/a{i}" for i in range(6)] + [f"zoo/a{i}" for i in range(4)]
    assert dataset.kinds == {"caption": "text", "image": "image", "sound": "audio"}
    assert samples.present["caption"].tolist() == [True] * 10
    assert samples.present["sound"].tolist() == [True] * 5 + [False] * 5
    assert samples.present["image"].tolist() == [False] * 6 + [True] * 4
    assert samples[0].values == {"caption": "animal 0", "sound": Path(farm).parent / "0.ogg"}
    assert samples[9].values == {"caption": "beast 3", "image": Path(zoo).parent / "3.png"}
    assert samples.columns["source"].tolist() == ["farm"] * 6 + ["zoo"] * 4
    assert samples.columns["domain"].tolist() == [""] * 6 + ["north"] * 4
    assert [left.id for left in dataset.rejected] == ["zoo/bad"]


def test_classes_are_each_sources_own_unless_merged(farm, zoo):
    own, merged = (load(entry(farm, "farm"), entry(zoo, "zoo"), merge_classes=merge) for merge in (False, True))
    assert own.class_names == ("farm/cow", "farm/hen", "zoo/hen", "zoo/yak")
    assert own.samples.targets.tolist() == [1, 0, 1, 0, 1, 0, 2, 3, 3, 3]
    assert merged.class_names == ("cow", "hen", "yak")
    assert merged.samples.targets.tolist() == [1, 0, 1, 0, 1, 0, 1, 2, 2, 2]


def test_groups_are_each_sources_own_and_shared_by_one_that_comes_twice(farm, zoo):
    group = load(entry(farm, "farm"), {"name": "digits"}).samples.columns["group"]
    assert group[0] == group[1] and len(set(group.tolist())) == len(group) - 1, "no group is parted, none is shared"
    twice = load(entry(farm, "farm"), entry(farm, "again", rename={"caption": "said"})).samples
    assert twice.columns["group"][:6].tolist() == twice.columns["group"][6:].tolist(), "one sample, seen in two ways"
    assert "said" in twice.values and twice.present["said"].tolist() == [False] * 6 + [True] * 6


def test_modalities_are_renamed(farm, zoo):
    dataset = load(entry(farm, "farm", rename={"sound": "noise", "caption": "text"}), entry(zoo, "zoo"))
    assert dataset.kinds == {"caption": "text", "image": "image", "noise": "audio", "text": "text"}
    assert dataset.samples[0].values["text"] == "animal 0"


def test_numbers_stay_numbers_where_they_are_alike(farm):
    digits = load({"name": "digits"}, {"name": "digits", "called": "again"}, entry(farm, "farm"))
    column, alone = digits.samples.values["pixels"], SOURCES.get("digits")().load().samples
    assert isinstance(column, np.ndarray) and column.dtype == alone.values["pixels"].dtype
    assert np.array_equal(column[: len(alone)], alone.values["pixels"]) and not column[-6:].any()
    assert not bool(digits.samples.present["pixels"][-6:].any())
    assert bool(digits.samples.present["pixels"][:-6].all())
    patterns = {"name": "patterns", "train_samples": 8, "test_samples": 4}
    unlike = load({**patterns, "rename": {"audio": "x"}}, {"name": "digits", "rename": {"pixels": "x"}}).samples
    assert unlike.values["x"].dtype == object and unlike.values["x"][0].ndim == 2 and unlike.values["x"][-1].ndim == 1


def test_a_sources_own_split_is_kept():
    patterns = {"name": "patterns", "train_samples": 8, "valid_samples": 4, "test_samples": 4}
    split = load(patterns, {"name": "digits"}).samples.columns["split"]
    assert set(split.tolist()) == {"train", "valid", "test", ""}


def test_the_card_names_every_source(farm):
    source = Together(
        Together.Settings(sources=({"name": "stamps"}, {"name": "furniture"}, {"name": "stamps", "called": "fr"}))
    )
    assert source.card.licence.count("GPL-2") == 1 and "CC BY 3.0" in source.card.licence
    assert "Bill Kendrick" in source.card.citation and "Puybaret" in source.card.citation
    assert Together.card.licence == "those of the data sets", "the class's own card stays as it is"


def test_wrong_settings(farm, zoo):
    with pytest.raises(SettingsError, match=r"stream\.sources is empty; name them: sources"):
        Together()
    with pytest.raises(SettingsError, match=r"stream\.sources\.1\.name: no such source: 'stampz'"):
        load({"name": "digits"}, {"name": "stampz"})
    with pytest.raises(SettingsError, match=r"stream\.sources\.0\.langauge: no such setting of 'stamps'"):
        load({"name": "stamps", "langauge": "fr"})
    with pytest.raises(SettingsError, match=r"stream\.sources\.0\.name is missing"):
        load({"path": farm})
    with pytest.raises(SettingsError, match=r"'manifest' comes twice; tell the two apart with `called`"):
        load({"name": "manifest", "path": farm}, {"name": "manifest", "path": zoo})
    with pytest.raises(SettingsError, match=r"farm\.rename: no such modality: 'sond'. Did you mean 'sound'"):
        load(entry(farm, "farm", rename={"sond": "noise"}))
    with pytest.raises(SettingsError, match=r"farm\.rename makes two modalities one"):
        load(entry(farm, "farm", rename={"sound": "caption"}))
    with pytest.raises(SettingsError, match="'sound' is audio in one source and image in 'zoo'; give it another name"):
        load(entry(farm, "farm"), entry(zoo, "zoo", rename={"image": "sound"}))
    with pytest.raises(SettingsError, match=r"sources\.0\.called: 3 is given"):
        load(entry(farm, 3))
    with pytest.raises(SettingsError, match=r"sources\.0\.rename: 'x' is given"):
        load(entry(farm, "farm", rename="x"))


def test_a_stream_of_pairs_goes_from_one_source_to_the_next():
    """Settings alone, as YAML has them, down to tokens: two made-up sensors and digits, through one mediator."""
    patterns = {"name": "patterns", "train_samples": 40, "test_samples": 20, "rename": {"audio": "text"}}
    digits = {"name": "digits", "rename": {"pixels": "text", "spectrum": "sound"}}
    stream = build_stream(
        {"name": "together", "scenario": "pairing", "order": ["video", "sound"], "sources": [patterns, digits]}, seed=0
    )
    assert [stage.modalities for stage in stream] == [("text", "video"), ("sound", "text")]
    assert {name.split("/")[0] for name in stream[0].train.ids} == {"patterns"}
    assert {name.split("/")[0] for name in stream[1].train.ids} == {"digits"}
    assert stream[0].classes == tuple(range(4)) and stream[1].classes == tuple(range(4, 14))
    only = build_stream({"name": "together", "scenario": "pairing", "order": ["sound"], "sources": [digits]}, seed=0)
    encoded = encode_stream(only, {m: ENCODERS.get("identity")() for m in only.kinds})
    assert encoded[0].train.batch(encoded[0].train.targets[:3] * 0).modalities == ["sound", "text"]


@pytest.mark.stamps
@pytest.mark.furniture
@pytest.mark.parametrize("disjoint", [False, True])
def test_pairs_of_stamps_and_then_of_furniture(disjoint):
    stream = build_stream(
        {
            "name": "together", "scenario": "pairing", "order": ["image", "speech", "sound", "points"],
            "disjoint": disjoint,
            "sources": [
                {"name": "stamps", "modalities": ["image", "text", "audio", "sound"], "rename": {"audio": "speech"}},
                {"name": "furniture", "modalities": ["points", "text"], "name_language": "en"},
            ],
        },
        seed=0,
    )  # fmt: skip
    assert stream.kinds == {
        "image": "image", "points": "point-cloud", "sound": "audio", "speech": "audio", "text": "text",
    }  # fmt: skip
    sides, trains = defaultdict(set), defaultdict(set)
    for stage, new in zip(stream, ("image", "speech", "sound", "points"), strict=True):
        for side in ("train", "valid", "test"):
            samples = getattr(stage, side)
            assert set(samples.values) == {new, "text"} and all(bool(has.all()) for has in samples.present.values())
            assert len(samples)
            for group in samples.columns["group"].tolist():
                sides[group].add(side)
                if side == "train":
                    trains[group].add(stage.index)
    assert all(len(found) == 1 for found in sides.values())
    assert (max(len(stages) for stages in trains.values()) == 1) == disjoint
    sizes = [sum(len(getattr(stage, side)) for side in ("train", "valid", "test")) for stage in stream]
    assert disjoint or sizes == [950, 925, 134, 381]
