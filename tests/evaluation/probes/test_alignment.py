"""The alignment probe: figures by hand, missing modalities, and a model whose modalities are the same."""

import pytest
import torch

from polymnia.evaluation.probes.alignment import Alignment, gathered, retrieved, same_modality
from polymnia.methods.base import METHODS
from polymnia.models.classifier import Classifier


@pytest.fixture
def learned(digits):
    model = Classifier()
    for stage in digits:
        model.grow(stage)
    return METHODS.get("finetune")(model)


def test_figures_are_shares_and_a_cosine(learned, digits):
    found = Alignment().measure(learned, digits, digits[-1])
    assert set(found) == {"cosine", "neighbours", "retrieval"}
    assert -1 <= found["cosine"] <= 1 and 0 <= found["neighbours"] <= 1 and 0 <= found["retrieval"] <= 1


def test_a_missing_modality_is_not_compared(learned, digits):
    own, joint, targets = gathered(learned, digits)
    tests = [stage.test for stage in digits]
    there = torch.cat([test.present["pixels"] for test in tests])
    assert len(targets) == sum(map(len, tests)) == len(own["pixels"])
    assert torch.equal(own["pixels"].isfinite().all(1), there) and torch.equal(joint["pixels"].isfinite().all(1), there)


def test_one_modality_has_nothing_to_align(learned, digits):
    from dataclasses import replace

    stages = tuple(replace(stage, test=stage.test.only(["pixels"])) for stage in digits)
    assert Alignment().measure(learned, replace(digits, stages=stages), stages[-1]) == {}


def test_mixed_groups_have_neighbours_of_the_other():
    same = torch.eye(4)
    assert same_modality([same, same]) == 0.0
    assert same_modality([torch.tensor([[1.0, 0.0], [0.9, 0.1]]), torch.tensor([[0.0, 1.0], [0.1, 0.9]])]) == 1.0


def test_retrieval_never_finds_the_sample_itself():
    assert retrieved(torch.eye(3), torch.eye(3), torch.tensor([0, 1, 2])) == 0.0
    assert retrieved(torch.eye(3), torch.eye(3), torch.tensor([0, 0, 0])) == 1.0
