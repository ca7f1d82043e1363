"""digit-questions: answers follow from the digit, and no digit is on two sides."""

import json
from collections import Counter

import numpy as np
import pytest

from polymnia.data.modality import MODALITIES
from polymnia.data.source import SOURCES
from polymnia.data.sources.digit_questions import QUESTIONS, WORDS
from polymnia.errors import SettingsError
from polymnia.training.build import build_stream

Source = SOURCES.get("digit-questions")


def load(**settings):
    return Source(Source.Settings(**{"of": "digits", **settings})).load()


def test_each_digit_answers_each_question():
    samples = load(per_class=20).samples
    assert len(samples) == 6 * 200 and Counter(samples.columns["kind"].tolist()) == dict.fromkeys(QUESTIONS, 200)
    expected = {
        "loop": lambda d: ["no", "yes"][d in (0, 6, 8, 9)], "modulo": lambda d: ["zero", "one", "two"][d % 3],
        "name": lambda d: WORDS[d], "parity": lambda d: ["even", "odd"][d % 2], "size": lambda d: ["no", "yes"][d > 4],
    }  # fmt: skip
    for sample in samples:
        kind, digit = sample.columns["kind"], int(sample.columns["label"])
        assert sample.columns["prompt"] == QUESTIONS[kind] and sample.target == digit
        assert json.loads(sample.columns["references"]) == [sample.columns["answer"]]
        assert kind == "ink" or sample.columns["answer"] == expected[kind](digit)
    assert MODALITIES.get("image")().read(samples[0].values["image"]).shape == (8, 8, 3)


def test_a_third_of_the_digits_has_little_ink():
    samples = load(kinds=("ink",)).samples
    counts = Counter(samples.columns["answer"].tolist())
    assert all(abs(counts[amount] - 1797 / 3) < 30 for amount in ("little", "some", "much"))
    ink = {what: np.mean([s.values["image"].mean() for s in samples if s.columns["answer"] == what]) for what in counts}
    assert ink["little"] < ink["some"] < ink["much"]


def test_a_digit_is_on_one_side_whatever_is_asked_and_drawn():
    asked, drawn = load(tested=0.3).samples, load(task="generation", tested=0.3).samples
    side = dict(zip(drawn.columns["group"], drawn.columns["split"], strict=True))
    assert len(side) == len(drawn) == 1797
    assert all(side[g] == s for g, s in zip(asked.columns["group"], asked.columns["split"], strict=True))
    shares = {name: count / 1797 for name, count in Counter(side.values()).items()}
    assert abs(shares["test"] - 0.3) < 0.04 and abs(shares["valid"] - 0.1) < 0.03
    one = drawn[7]
    assert one.columns["prompt"] == "draw the digit seven." and json.loads(one.columns["shows"]) == {"class": "7"}
    assert "answer" not in drawn.columns and "kind" not in drawn.columns


def test_six_stages_of_questions_and_one_of_drawing():
    digits = {"name": "digit-questions", "of": "digits", "per_class": 10}
    other = {**digits, "called": "reworded", "kinds": ["parity"], "wordings": [3]}
    sources = [{**digits, "called": "asked"}, {**digits, "called": "drawn", "task": "generation"}, other]
    order = ["answering image parity 0", "answering image loop 0", "generation image 0", "answering image modulo 0",
             "answering image parity 3"]  # fmt: skip
    by = ["kind", "wording"]
    stream = build_stream(
        {"name": "together", "scenario": "tasks", "by": by, "order": order, "sources": sources}, seed=0
    )
    assert [stage.task for stage in stream] == ["answering"] * 2 + ["generation"] + ["answering"] * 2
    assert set(stream[4].train.columns["prompt"]) == {"is the digit even or odd? answer shortly."}
    trained = {g for stage in stream for g in stage.train.columns["group"].tolist()}
    assert not trained & {g for stage in stream for g in stage.test.columns["group"].tolist()}


@pytest.mark.bundled("digit-questions")
def test_mnist_is_asked_about_too():
    samples = load(of="mnist", per_class=3, kinds=("size", "name")).samples
    assert len(samples) == 60 and samples[0].values["image"].shape == (28, 28, 3)


def test_wrong_settings():
    with pytest.raises(SettingsError, match=r"stream\.kinds: no such kind: 'partiy'. Did you mean 'parity'"):
        load(kinds=("partiy",))
    with pytest.raises(SettingsError, match="per_class: 0 is given"):
        load(per_class=0)
    with pytest.raises(SettingsError, match="leave some for training"):
        load(tested=0.9, validating=0.1)
    with pytest.raises(SettingsError, match="numbers from 0 to 11"):
        load(wordings=(12,))
