"""What is scored after each stage, and with which modalities."""

import pytest

from polymnia.evaluation.accuracy import accuracy
from polymnia.evaluation.evaluator import EvaluationSettings, Evaluator
from polymnia.methods.finetune import Finetune
from polymnia.models.classifier import Classifier
from polymnia.training.run import prepare
from polymnia.training.settings import run_settings


def learned(stream, wanted):
    method = Finetune(Classifier())
    evaluator = Evaluator(method, stream, wanted)
    for stage in stream:
        method.model.grow(stage)
        if stage.index == 0:
            evaluator.before()
        evaluator.after(stage)
    return method, evaluator


@pytest.fixture(scope="module")
def by_modality():
    return prepare(run_settings({"stream": {"name": "digits", "scenario": "modality-incremental"}}))


@pytest.fixture(scope="module")
def by_class():
    return prepare(run_settings({"stream": {"name": "digits", "stages": 3}}))


def test_what_the_model_cannot_look_at_yet_is_not_scored(by_modality):
    _, evaluator = learned(by_modality, EvaluationSettings(ahead=True))
    assert [[score is None for score in row] for row in evaluator.matrix] == [
        [False, True, True],
        [False, False, True],
        [False, False, False],
    ]


def test_test_sets_ahead_are_scored_on_request(by_class):
    _, without = learned(by_class, EvaluationSettings())
    _, with_them = learned(by_class, EvaluationSettings(ahead=True))
    assert [sum(score is not None for score in row) for row in without.matrix] == [1, 2, 3]
    assert [sum(score is not None for score in row) for row in with_them.matrix] == [3, 3, 3]
    assert with_them.matrix[0][1:] == [0.0, 0.0]  # classes that no head knows cannot be right


def test_subsets_are_scored_on_the_samples_that_have_one(by_class):
    method, evaluator = learned(by_class, EvaluationSettings())
    assert len(evaluator.per_subset) == 2**3 - 1
    chosen = by_class[0].test.only(["pixels"])
    assert set(chosen.values) == {"pixels"}
    scores = [accuracy(method, stage.test.only(["pixels"])).score for stage in by_class]
    assert evaluator.per_subset["pixels"] == pytest.approx(sum(scores) / 3)


def test_the_choice_is_among_the_stage_s_classes_when_its_identity_is_given(by_class):
    method, _ = learned(by_class, EvaluationSettings())
    stage = by_class[1]
    among = accuracy(method, stage.test, among=stage.classes)
    free = accuracy(method, stage.test)
    assert among.of == free.of == len(stage.test) and among.right >= free.right


def test_batch_size_cannot_change_a_score(by_class):
    method, _ = learned(by_class, EvaluationSettings())
    assert accuracy(method, by_class[0].test, batch_size=7) == accuracy(method, by_class[0].test, batch_size=512)


def test_state_comes_back(by_class):
    method, evaluator = learned(by_class, EvaluationSettings(ahead=True))
    other = Evaluator(method, by_class, EvaluationSettings(ahead=True))
    other.load_state_dict(evaluator.state_dict())
    assert other.figures() == evaluator.figures()
