"""Scores of texts: what a method writes, against all that is right."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from polymnia.evaluation.answers import vqa_accuracy
from polymnia.evaluation.captions import cider
from polymnia.evaluation.scorers.base import scorer
from polymnia.evaluation.written import references
from polymnia.methods.finetune import Finetune


class Knowing(Finetune):
    """Writes the right answers of the first so many samples, and nothing else."""

    known = 0

    def answer(self, batch):
        return [text if row < self.known else "" for row, text in enumerate(self.right)]


def knowing(teller, stage, known):
    method = Knowing(teller([stage]).model)
    method.right, method.known = [among[0] for among in references(stage.test)], known
    return method


def test_captioning_is_the_share_of_the_highest_cider(told, teller):
    method, test = teller(told.stages[:1]), told[0].test
    texts = method.answer(test.batch(torch.arange(len(test))))
    found = scorer("captioning").score(method, test)
    assert found == pytest.approx(cider(texts, references(test)) / 10)
    some, all_ = (scorer("captioning").score(knowing(teller, told[0], known), test) for known in (3, 6))
    assert 0 < some < all_ <= 1


def test_answering_is_agreement(told, teller):
    method, test = teller(told.stages[1:2]), told[1].test
    texts = method.answer(test.batch(torch.arange(len(test))))
    assert scorer("answering").score(method, test) == vqa_accuracy(texts, references(test))
    assert [scorer("answering").score(knowing(teller, told[1], known), test) for known in (0, 3, 6)] == [0, 0.5, 1]


def test_where_there_is_nothing_to_score_there_is_no_score(told, teller):
    method = teller(told.stages[:2])
    assert scorer("captioning").score(method, told[0].test.subset(torch.tensor([0]))) is None
    assert scorer("answering").score(method, told[1].test.subset(torch.arange(0))) is None
    assert not scorer("captioning").subsets and not scorer("answering").subsets


def test_samples_say_how_they_are_judged(told, teller):
    test = told[1].test
    wordy = [f"it is {among[0]}, i think" for among in references(test)]
    method = knowing(teller, told[1], len(test))
    method.right = wordy
    assert scorer("answering").score(method, test) == 0
    judged = replace(test, columns={**test.columns, "judged": np.array(["contained", ""] * len(test))[: len(test)]})
    assert scorer("answering").score(method, judged) == pytest.approx((len(test) + 1) // 2 / len(test))
