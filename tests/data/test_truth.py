import json

import numpy as np
import pytest
import torch

from polymnia.data.samples import Samples
from polymnia.data.truth import truth_of
from polymnia.errors import DataError


def samples(**columns) -> Samples:
    held = {name: np.array(values, dtype=np.str_) for name, values in columns.items()}
    n = len(next(iter(held.values()), [0]))
    return Samples(np.array([f"s{i}" for i in range(n)]), {}, {}, torch.full((n,), -1), held)


def test_a_mapping_of_questions_to_answers():
    truth = truth_of(samples(truth=[json.dumps({"": "A red star.", "what colour is it?": "Red"}), ""]))
    assert (truth(0, ""), truth(0, "what colour is it?"), truth(0, "where is it?")) == ("a red star", "red", None)
    assert truth(1, "") is None


def test_a_scene_of_the_toy_world():
    truth = truth_of(samples(scene=["there is two red star on the left", ""]))
    assert truth(0, "") == "there is two red star on the left"
    assert (truth(0, "where is it?"), truth(0, "who is it?"), truth(1, "")) == ("left", None, None)


def test_nothing_is_known():
    assert truth_of(samples())(0, "") is None


@pytest.mark.parametrize("text", ["no json", "[1, 2]", "3"])
def test_what_is_no_mapping_is_named(text):
    with pytest.raises(DataError, match="sample s0: its `truth` is"):
        truth_of(samples(truth=[text]))(0, "")
