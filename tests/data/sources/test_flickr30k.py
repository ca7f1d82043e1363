"""flickr30k: Karpathy's list."""

import json

import pytest

from polymnia.data.source import SOURCES

FLICKR = SOURCES.get("flickr30k")


@pytest.fixture
def folder(tmp_path, write_set):
    return write_set("flickr30k", tmp_path / "flickr30k")


def load(folder, **settings):
    return FLICKR(FLICKR.Settings(path=str(folder), **settings)).load()


def test_a_picture_has_five_captions_in_training_and_all_in_tests(folder):
    samples = load(folder).samples
    at = {str(name): row for row, name in enumerate(samples.ids)}
    assert [name for name in at if name.startswith("1.jpg")] == [f"1.jpg#{k}" for k in range(5)]
    shown = samples[at["1.jpg#3"]]
    assert shown.columns["answer"] == "a dog, number 1 seen 3" and shown.columns["group"] == "1.jpg"
    assert shown.values["image"] == folder / "flickr30k-images" / "1.jpg"
    test = samples[at["4.jpg"]].columns
    assert test["split"] == "test" and json.loads(test["references"]) == [f"a dog, number 4 seen {k}" for k in range(5)]
    assert samples[at["3.jpg"]].columns["split"] == "valid"


@pytest.mark.parametrize(("references", "count"), [(1, 3), (2, 6), (0, 15), (9, 15)])
def test_how_many_captions_are_trained_on_can_be_set(folder, references, count):
    samples = load(folder, references=references).samples
    assert sum(samples.columns["split"] == "train") == count
    assert all(len(json.loads(held)) == 5 for held in samples.columns["references"])


def test_a_strange_split_is_set_aside_and_restval_trains(folder):
    path = folder / "dataset_flickr30k.json"
    found = json.loads(path.read_text())
    found["images"][0]["split"], found["images"][1]["split"] = "restval", "tests"
    path.write_text(json.dumps(found))
    dataset = load(folder)
    assert [r.reason for r in dataset.rejected] == ["is of the split 'tests'; accepted: train, restval, val, test"]
    assert dict(zip(dataset.samples.ids, dataset.samples.columns["split"], strict=True))["0.jpg#0"] == "train"


def test_a_picture_listed_twice_stays_where_it_is_tested(folder):
    path = folder / "dataset_flickr30k.json"
    found = json.loads(path.read_text())
    found["images"].insert(0, {**found["images"][5], "split": "train"})
    path.write_text(json.dumps(found))
    dataset = load(folder)
    assert [(r.id, r.reason) for r in dataset.rejected] == [("5.jpg", "is listed before")]
    assert dict(zip(dataset.samples.ids, dataset.samples.columns["split"], strict=True))["5.jpg"] == "test"
