"""okvqa: questions and ten answers, joined by the question's id."""

import json

import pytest

from polymnia.data.source import SOURCES
from polymnia.errors import SettingsError

OKVQA = SOURCES.get("okvqa")


@pytest.fixture
def folder(tmp_path, write_set):
    return write_set("okvqa", tmp_path / "okvqa")


def load(folder, **settings):
    return OKVQA(OKVQA.Settings(path=str(folder), **settings)).load()


def test_the_commonest_answer_is_trained_on_and_tests_know_all_ten(folder):
    samples = load(folder).samples
    assert samples.ids.tolist() == ["85", "95", "516065", "817215", "75"]
    shown = samples[2]
    assert shown.columns["prompt"] == "what is 51606 called?" and shown.columns["answer"] == "pony tail"
    assert shown.values["image"] == folder / "train2014" / "COCO_train2014_000000051606.jpg"
    assert shown.columns["group"] == "COCO_train2014_000000051606.jpg" and shown.columns["split"] == "train"
    assert json.loads(samples[0].columns["references"]) == ["braid"] * 4 + ["pony tail"] * 6


def test_every_answer_can_be_trained_on(folder):
    samples = load(folder, answers="each").samples
    answers = [a for a, name in zip(samples.columns["answer"], samples.ids, strict=True) if name.startswith("75#")]
    assert answers == ["braid"] * 4 + ["pony tail"] * 6 and sum(samples.columns["split"] == "test") == 2


def test_a_share_of_the_training_pictures_can_validate(folder):
    splits = load(folder, held_out=0.9).samples.columns["split"].tolist()
    assert splits.count("test") == 2 and splits.count("valid") >= 1
    assert splits == load(folder, held_out=0.9).samples.columns["split"].tolist()
    assert load(folder).samples.columns["split"].tolist().count("valid") == 0
    with pytest.raises(SettingsError, match=r"stream\.held_out: 1 is given"):
        load(folder, held_out=1)


def test_what_only_one_of_the_lists_has_is_set_aside(folder):
    questions = "OpenEnded_mscoco_val2014_questions"
    for name, key in (("mscoco_train2014_annotations", "annotations"), (questions, "questions")):
        path = folder / f"{name}.json"
        found = json.loads(path.read_text())
        del found[key][0]
        path.write_text(json.dumps(found))
    dataset = load(folder)
    assert {(r.id, r.reason) for r in dataset.rejected} == {
        ("516065", "is not answered in mscoco_train2014_annotations.json"),
        ("85", f"is answered in mscoco_val2014_annotations.json and not asked in {questions}.json"),
    }
    assert len(dataset.samples) == 3


@pytest.mark.parametrize("bad", ['"7"', "-1", "1e3", "true", "9999999999999", "null"])
def test_a_picture_is_a_number(folder, bad):
    path = folder / "OpenEnded_mscoco_train2014_questions.json"
    path.write_text(path.read_text().replace('"image_id": 81721', f'"image_id": {bad}'))
    reasons = [r.reason for r in load(folder).rejected]
    assert any("a whole number of at most 12 digits is needed" in reason for reason in reasons)
