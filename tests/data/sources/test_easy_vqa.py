"""easy-vqa: the package's own questions, whole and in part."""

import json
from collections import Counter

import pytest

from polymnia.data.modality import MODALITIES
from polymnia.data.source import SOURCES
from polymnia.data.sources.easy_vqa import KINDS, kind_of
from polymnia.errors import DataError, SettingsError

EasyVQA = SOURCES.get("easy-vqa")
there = pytest.mark.bundled("easy-vqa")


def load(**settings):
    return EasyVQA(EasyVQA.Settings(**settings)).load()


@pytest.mark.parametrize(
    ("question", "kind"),
    [("what is the color of the shape?", "colour"), ("does the image not contain a teal shape?", "presence"),
     ("is no circle present?", "presence"), ("what shape is in the image?", "shape"),
     ("what is the red shape?", "shape")],
)  # fmt: skip
def test_the_wording_says_what_is_asked_for(question, kind):
    assert kind_of(question) == kind


@there
def test_the_package_holds_what_the_card_says():
    samples = load().samples
    column = samples.columns
    parts = Counter(column["split"].tolist())
    assert parts["train"] + parts["valid"] == 38_575 and parts["test"] == 9_673
    assert len(set(column["answer"].tolist())) == 13 and len(set(column["prompt"].tolist())) == 107
    trained = [kind for kind, split in zip(column["kind"], column["split"], strict=True) if split != "test"]
    assert Counter(map(str, trained)) == {"presence": 28_407, "colour": 5_166, "shape": 5_002}
    answers = {"colour": set(), "presence": set(), "shape": set()}
    for kind, answer in zip(column["kind"].tolist(), column["answer"].tolist(), strict=True):
        answers[kind].add(answer)
    assert answers["presence"] == {"yes", "no"} and answers["shape"] == {"circle", "rectangle", "triangle"}
    assert len(answers["colour"]) == 8, "a wording is read as the question it is, 48,248 times"
    split_of = dict(zip(column["group"].tolist(), column["split"].tolist(), strict=True))
    assert len(split_of) == 5_000 and all(
        split_of[g] == s for g, s in zip(column["group"].tolist(), column["split"].tolist(), strict=True)
    ), "a picture is on one side"


@there
def test_a_part_of_it_is_always_the_same_and_has_as_many_of_each_kind():
    dataset = load(share=0.1, per_kind=50, per_kind_tested=30, validating=0.2)
    samples = dataset.samples
    assert dataset.class_names == KINDS and dataset.kinds == {"image": "image"}
    per = Counter(zip(samples.columns["kind"].tolist(), samples.columns["split"].tolist(), strict=True))
    assert all(per[kind, "test"] == 30 and per[kind, "train"] + per[kind, "valid"] == 50 for kind in KINDS)
    assert 10 < sum(per[kind, "valid"] for kind in KINDS) < 60
    assert [KINDS[target] for target in samples.targets.tolist()] == samples.columns["kind"].tolist()
    fewer = load(share=0.1, per_kind=40, per_kind_tested=30).samples.ids.tolist()
    assert len(fewer) == 210 and set(fewer) < set(samples.ids.tolist())
    one = samples[0]
    assert one.columns["task"] == "answering" and json.loads(one.columns["references"]) == [one.columns["answer"]]
    assert MODALITIES.get("image")().read(one.values["image"]).shape == (64, 64, 3)


@there
def test_a_stream_of_one_task(cut_by):
    stream = cut_by(EasyVQA(EasyVQA.Settings(share=0.05)), "tasks")
    assert [stage.name for stage in stream] == ["01-answering-image"] and stream[0].task == "answering"
    assert len(stream[0].valid) and set(stream[0].test.columns["split"].tolist()) == {"test"}


def test_wrong_settings(monkeypatch):
    with pytest.raises(SettingsError, match="share: 0 is given"):
        EasyVQA.Settings(share=0)
    with pytest.raises(SettingsError, match="per_kind: 0 is given"):
        EasyVQA.Settings(per_kind=0)
    with pytest.raises(SettingsError, match="validating: 1 is given"):
        EasyVQA.Settings(validating=1)
    monkeypatch.setitem(__import__("sys").modules, "easy_vqa", None)
    with pytest.raises(DataError, match=r"easy-vqa is not installed. Get it with: pip install --no-deps"):
        EasyVQA().load()
