"""easy-vqa: the package's own questions, whole and in part."""

import json
from collections import Counter

import numpy as np
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


@there
def test_pictures_to_draw_show_what_their_prompts_say():
    dataset = load(task="generation", per_kind=60, per_kind_tested=40)
    samples, read = dataset.samples, MODALITIES.get("image")().read
    assert len(samples) == 100 and len(set(samples.columns["group"].tolist())) == 100
    assert Counter(samples.columns["split"].tolist())["test"] == 40 and set(samples.columns["task"]) == {"generation"}
    assert "answer" not in samples.columns and (samples.targets == -1).all()
    seen, named = [], []
    for sample in samples:
        shows = json.loads(sample.columns["shows"])
        assert sample.columns["prompt"] == f"draw a {shows['colour']} {shows['shape']}."
        pixels = read(sample.values["image"]).reshape(-1, 3).astype(int)
        inside = pixels[abs(pixels - pixels[0]).sum(1) > 60]  # the shape alone: the ground is one colour
        seen.append(inside.mean(0))
        named.append(shows["colour"])
    names = sorted(set(named))
    of = {name: np.mean([s for s, n in zip(seen, named, strict=True) if n == name], axis=0) for name in names}
    nearest = [min(names, key=lambda name: float(abs(s - of[name]).sum())) for s in seen]
    assert len(names) == 8 and np.mean(np.array(nearest) == np.array(named)) > 0.9


@there
def test_nearly_all_pictures_can_be_drawn_and_the_others_are_counted():
    dataset = load(task="generation")
    parts = Counter(dataset.samples.columns["split"].tolist())
    assert parts["train"] + parts["valid"] == 3578 and parts["test"] == 888
    assert len(dataset.rejected) == 422 + 112 and not any(left.broken for left in dataset.rejected)
    asked = load(per_kind=20)
    split_of = dict(zip(dataset.samples.columns["group"], dataset.samples.columns["split"], strict=True))
    columns = asked.samples.columns
    both = [(split_of[g], s) for g, s in zip(columns["group"], columns["split"], strict=True) if g in split_of]
    assert both and all(drawn == questioned for drawn, questioned in both)


@there
def test_the_same_questions_in_other_words():
    plain, reworded = load(share=0.05), load(share=0.05, wordings=(2, 5))
    assert plain.samples.ids.tolist() == reworded.samples.ids.tolist()
    assert set(plain.samples.columns["wording"]) == {"0"} and set(reworded.samples.columns["wording"]) == {"2", "5"}
    for first, second in zip(plain.samples, reworded.samples, strict=True):
        question = first.columns["prompt"]
        told = {"2": f"answer the question about the image: {question}", "5": f"{question} reply with a word or two."}
        assert second.columns["prompt"] == told[second.columns["wording"]]
        assert second.columns["answer"] == first.columns["answer"]
    with pytest.raises(SettingsError, match=r"stream\.wordings: \[12\] is given; numbers from 0 to 11"):
        EasyVQA.Settings(wordings=(12,))


@there
def test_kinds_are_stages_with_a_drawing_stage_between_them(cut_by):
    from polymnia.training.build import build_stream

    few = {"name": "easy-vqa", "share": 0.1}
    sources = [few, {**few, "called": "drawn", "task": "generation"}]
    order = ["answering image colour", "generation image", "answering image shape", "answering image presence"]
    stream = build_stream(
        {"name": "together", "scenario": "tasks", "by": "kind", "order": order, "sources": sources}, seed=0
    )
    assert [stage.name for stage in stream] == [
        "01-answering-image-colour", "02-generation-image", "03-answering-image-shape", "04-answering-image-presence",
    ]  # fmt: skip
    assert [stage.task for stage in stream] == ["answering", "generation", "answering", "answering"]
    assert set(stream[2].train.columns["answer"]) == {"circle", "rectangle", "triangle"}
    trained = {g for stage in stream for g in stage.train.columns["group"].tolist()}
    assert not trained & {g for stage in stream for g in stage.test.columns["group"].tolist()}
    only = cut_by(EasyVQA(EasyVQA.Settings(share=0.05, kinds=("shape",))), "tasks", by=("kind", "wording"))
    assert [stage.name for stage in only] == ["01-answering-image-shape-0"]
    with pytest.raises(SettingsError, match=r"no such kind: 'shap'\. Did you mean 'shape'"):
        EasyVQA.Settings(kinds=("shap",))
