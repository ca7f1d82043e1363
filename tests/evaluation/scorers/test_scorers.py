"""Scores by task: what they are called, which streams can be scored, and pairs against a count by hand."""

from dataclasses import replace

import pytest
import torch

from polymnia.data.stage import Outline
from polymnia.errors import SettingsError
from polymnia.evaluation.accuracy import accuracy
from polymnia.evaluation.evaluator import EvaluationSettings, Evaluator
from polymnia.evaluation.retrieval import ranks
from polymnia.evaluation.scorers.base import SCORERS, named, scorer
from polymnia.evaluation.scores import BETWEEN, is_share
from polymnia.methods.finetune import Finetune
from polymnia.models.classifier import Classifier


def paired(stage, *names):
    parts = {side: getattr(stage, side).only(names) for side in ("train", "valid", "test")}
    return replace(stage, task="pairing", modalities=names, widths={m: stage.widths[m] for m in names}, **parts)


@pytest.fixture
def method(digits):
    made = Finetune(Classifier())
    made.model.grow(digits[0])
    return made


def test_every_metric_says_what_it_is_and_is_one_word_of_a_stream():
    for task in SCORERS:
        metric = scorer(task).metric
        assert is_share(metric) and BETWEEN not in metric


def test_a_stream_of_two_tasks_names_both_in_their_order():
    stages = [Outline(index=i, name=str(i), task=task) for i, task in enumerate(("pairing", "classification"))]
    assert named(stages) == "retrieval R@10; accuracy"
    assert named(stages, task_identity=True) == "retrieval R@10; accuracy (stage given)"


def test_a_task_that_nothing_scores_is_refused_before_training(digits, method):
    strange = replace(digits, stages=(replace(digits[0], task="captoning"),))
    with pytest.raises(SettingsError, match="captoning"):
        Evaluator(method, strange, EvaluationSettings())


def test_classification_is_accuracy(digits, method):
    expected = accuracy(method, digits[0].test).score
    assert scorer("classification").score(method, digits[0].test, batch_size=7) == expected
    unlabelled = replace(digits[0].test, targets=torch.full((len(digits[0].test),), -1))
    assert scorer("classification").score(method, unlabelled) is None


def test_pairing_is_the_mean_of_both_ways(digits, method):
    test = digits[0].test.only(["pixels", "spectrum"])
    found = method.predict(test.batch(torch.arange(len(test)))).representations
    a, b = found["pixels"], found["spectrum"]
    expected = sum(float((ranks(*way) <= 10).double().mean()) for way in ((a, b), (b, a))) / 2
    assert scorer("pairing").score(method, test) == pytest.approx(expected)
    assert 0 < expected < 1
    assert scorer("pairing").score(method, test, batch_size=7) == pytest.approx(expected)


def test_pairing_takes_only_samples_that_have_both(digits_with_gaps):
    made = Finetune(Classifier())
    made.model.grow(digits_with_gaps[0])
    test = digits_with_gaps[0].test.only(["pixels", "spectrum"])
    both = (test.present["pixels"] & test.present["spectrum"]).nonzero().flatten()
    assert 10 < len(both) < len(test)
    assert scorer("pairing").score(made, test) == pytest.approx(scorer("pairing").score(made, test.subset(both)))


def test_three_modalities_are_the_mean_over_their_pairs(digits, method):
    test, names = digits[0].test, ("pixels", "projections", "spectrum")
    each = [scorer("pairing").score(method, test.only([m for m in names if m != left])) for left in names]
    assert scorer("pairing").score(method, test) == pytest.approx(sum(each) / 3, abs=0.02)


def test_one_modality_has_no_partner(digits, method):
    assert scorer("pairing").score(method, digits[0].test.only(["pixels"])) is None
    assert scorer("pairing").score(method, digits[0].test.subset(torch.tensor([0]))) is None


def test_a_mixed_stream_scores_each_column_by_its_task_and_leaves_pairs_out_of_subsets(digits):
    stages = (digits[0], paired(digits[1], "pixels", "spectrum"))
    made = Finetune(Classifier())
    evaluator = Evaluator(made, replace(digits, stages=stages), EvaluationSettings())
    for stage in stages:
        made.model.grow(stage)
        evaluator.after(stage)
    assert evaluator.metric == "accuracy; retrieval R@10"
    assert evaluator.matrix[1] == [
        scorer("classification").score(made, stages[0].test), scorer("pairing").score(made, stages[1].test)
    ]  # fmt: skip
    assert evaluator.per_subset_counts["pixels"] == len(stages[0].test.only(["pixels"]))
    assert len(evaluator.per_subset) == 7
