"""A model folder over a language model: stages of questions and captions, judged by what is written."""

import json

import numpy as np
import pytest

import polymnia as pm
from polymnia.errors import DataError, SettingsError
from polymnia.serving.loading import load

COLOURS = ("red", "blue")


def centre(colour):
    return np.random.default_rng(sum(map(ord, colour))).normal(0, 2, 6)


@pytest.fixture
def asked(tmp_path):
    """Return a function that writes a manifest of points, with what is to be said of each."""

    def write(name, said, *, each=24):
        random, path = np.random.default_rng(1), tmp_path / f"{name}.jsonl"
        rows = [
            {"id": f"{name}-{colour}-{n}", "features": (centre(colour) + random.normal(0, 0.2, 6)).tolist(), **say(n)}
            for colour, say in said.items()
            for n in range(each)
        ]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return write


@pytest.fixture
def model(tmp_path, new_writer):
    return new_writer(tmp_path / "model")


def answers(question):
    return {colour: (lambda n, c=colour: {"question": question, "answer": c}) for colour in COLOURS}


def test_it_grows_by_questions_and_answers_them(model, asked):
    decision = model.learn(asked("colours", answers("what colour is it ?")))
    assert decision.accepted and decision.verdict.compared[0].metric == "VQA accuracy"
    assert decision.verdict.compared[0].after == 1.0
    values = {"features": [centre("blue"), None, centre("red")]}
    found = model.answer(values, question="what colour is it ?")
    assert [each.text for each in found] == ["blue", "", "red"]
    with pytest.raises(SettingsError, match="tells no classes"):
        model.predict(values)


def test_what_broke_is_shown_answer_by_answer(model, asked):
    model.learn(asked("colours", answers("what colour is it ?")))
    other = {"red": lambda n: {"question": "what colour is it ?", "answer": "blue"},
             "blue": lambda n: {"question": "what colour is it ?", "answer": "red"}}  # fmt: skip
    decision = model.learn(asked("turned", other))
    assert not decision.accepted and "VQA accuracy drops" in decision.verdict.why[0]
    [first, _] = decision.verdict.compared
    assert len(first.broke) == first.samples and {flip.after for flip in first.broke} == set(COLOURS)
    assert first.broke[0].id in (decision.folder / "verdict.html").read_text()
    assert model.answer({"features": [centre("red")]}, question="what colour is it ?")[0].text == "red"


def test_a_stage_of_captions_is_another_task(model, asked):
    model.learn(asked("colours", answers("what colour is it ?")))
    captions = {c: (lambda n, c=c: {"answer": f"a {c} star", "references": json.dumps([f"a {c} star", "a star"])})
                for c in COLOURS}  # fmt: skip
    decision = model.learn(asked("captions", captions), force=True)
    assert [each.metric for each in decision.verdict.compared] == ["VQA accuracy", "CIDEr/10"]
    assert model.answer({"features": [centre("red")]})[0].text == "a red star"
    exported = model.export(model.folder.path.parent / "out")
    assert exported.onnx.startswith("none: model 'language-model' wants more than one vector")
    again = pm.Polymnia.from_pretrained(exported.folder)
    assert again.answer({"features": [centre("red")]})[0].text == "a red star"


def test_rows_that_say_nothing_are_set_aside(asked, tmp_path):
    rows = [
        {"features": [1.0], "question": "what ?", "answer": "red"},
        {"features": [1.0], "question": "what ?", "answer": " "},
        {"features": [1.0], "answer": "red", "references": "red"},
        {"features": [1.0], "answer": "red", "references": '["red", "rosy"]'},
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    from polymnia.data.sources.manifest import Manifest

    found = Manifest(Manifest.Settings(path=str(path))).load()
    assert found.class_names == () and found.samples.columns["task"].tolist() == ["answering", "captioning"]
    assert found.samples.columns["prompt"].tolist() == ["what ?", "describe the features."]
    reasons = [each.reason for each in found.rejected]
    assert "nothing to be said" in reasons[0] and "a JSON list of texts is needed" in reasons[1]


def test_two_tasks_are_two_stages(model, asked):
    both = {"red": lambda n: {"question": "what colour is it ?", "answer": "red"}, "blue": lambda n: {"answer": "blue"}}
    with pytest.raises(DataError, match="samples of 2 tasks"):
        model.learn(asked("both", both))


def test_classes_are_not_for_a_language_model(model, tmp_path):
    path = tmp_path / "classes.jsonl"
    rows = [{"features": [float(n % 2)] * 6, "label": "ab"[n % 2]} for n in range(20)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises((SettingsError, DataError)) as told:
        model.learn(path)
    assert "prompt" in str(told.value) or "task" in str(told.value), str(told.value)
    assert model.version == ""


def test_loading_gives_the_same_model(model, asked):
    model.learn(asked("colours", answers("what colour is it ?")))
    assert load(model.folder.current).class_names == ()
