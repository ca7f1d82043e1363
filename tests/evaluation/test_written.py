"""What is written, and what is right: once a round, and read from the columns that samples have."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from polymnia.errors import DataError
from polymnia.evaluation.evaluator import EvaluationSettings, Evaluator
from polymnia.evaluation.written import ROWS, one_round, references, written
from polymnia.methods.finetune import Finetune


class Counting(Finetune):
    """Counts for how many samples it was asked to write."""

    name = "finetune"
    asked = 0

    def answer(self, batch):
        self.asked += len(batch)
        return super().answer(batch)


def test_texts_are_those_of_the_method_whatever_the_rows_at_once(told, teller):
    method, test = teller(told.stages[:1]), told[0].test
    expected = method.answer(test.batch(torch.arange(len(test))))
    assert written(method, test) == written(method, test, batch_size=1) == expected


def test_a_batch_is_never_larger_than_a_host_can_hold(told, teller):
    sizes = []

    class Sizes(Finetune):
        def answer(self, batch):
            sizes.append(len(batch))
            return ["red"] * len(batch)

    test = told[0].test.subset(torch.arange(6).repeat(ROWS))
    assert written(Sizes(teller(told.stages[:1]).model), test, batch_size=512) == ["red"] * len(test)
    assert max(sizes) == ROWS and sum(sizes) == len(test)


def test_in_a_round_the_same_samples_are_asked_about_once(told, teller):
    method, test = Counting(teller(told.stages[:1]).model), told[0].test
    with one_round():
        first = written(method, test)
        with one_round():
            assert written(method, test) is first
        assert method.asked == 6
        written(method, told[0].valid)
        assert method.asked == 8
    written(method, test)
    assert method.asked == 14


def test_scorer_and_probe_share_what_is_written_and_the_next_stage_is_asked_anew(told, teller):
    method = Counting(teller().model)
    evaluator = Evaluator(method, told, EvaluationSettings(probes=("examples",)))
    counts = []
    for stage in told:
        method.model.grow(stage)
        evaluator.after(stage)
        counts.append(method.asked)
    assert counts == [6, 6 + 12, 6 + 12 + 18]
    assert evaluator.metric == "CIDEr/10; VQA accuracy"
    assert evaluator.per_subset == {}
    found = evaluator.figures()["probes"]["examples"]
    assert [found[f"score {stage.name}"] for stage in told] == evaluator.matrix[2]


def test_references_are_lists_or_the_one_answer(told):
    assert references(told[0].test)[0] == ["a red star", "star red a dot"]
    columns = {name: column for name, column in told[0].test.columns.items() if name != "references"}
    assert references(replace(told[0].test, columns=columns))[:2] == [["a red star"], ["a blue star"]]


@pytest.mark.parametrize("strange", ["red", "[]", '"red"', json.dumps([1])])
def test_a_list_that_cannot_be_read_is_refused_by_the_sample_s_name(told, strange):
    column = np.array([strange] * 6)
    samples = replace(told[0].test, columns={**told[0].test.columns, "references": column})
    with pytest.raises(DataError, match="captioning image test 0"):
        references(samples)
    with pytest.raises(DataError, match="neither"):
        references(replace(samples, columns={}))
