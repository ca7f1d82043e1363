import json

import pytest
import torch

from polymnia.methods.pseudo_records import recorded, spoilt
from polymnia.methods.pseudo_targets import Made


@pytest.fixture
def stage(speaker, language_stage):
    return language_stage(speaker(), 3, "answering", "image")


@pytest.fixture
def made(stage):
    """Captions of nine things: six right, one wrong, two that were dropped."""
    right = [json.loads(truth)[""] for truth in stage.train.columns["truth"]]
    return Made("captioning", [""] * 9, [*right[:6], "a red star", "", ""], 9, {"nothing was written": 2})


def test_what_was_made_is_counted_and_compared_with_the_truth(made, stage):
    record = recorded(made, stage.train, stage)
    assert (record["stage"], record["name"], record["task"]) == (3, "answering image", "captioning")
    assert (record["inputs"], record["kept"], record["dropped"]) == (9, 7, {"nothing was written": 2})
    assert (record["checked"], record["right"], record["wrong"]) == (7, 6, 0)
    assert record["examples"][0] == {
        "sample": "answering image 0", "question": "", "target": "a red star", "truth": "a red star"
    }  # fmt: skip
    assert len(record["examples"]) == 7 and json.loads(json.dumps(record)) == record


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 1.0])
def test_so_many_targets_become_wrong_and_none_is_right_by_chance(share, made, stage):
    changed, count = spoilt(made, stage.train, share, torch.Generator().manual_seed(0))
    rows = [row for row in range(9) if changed.targets[row] != made.targets[row]]
    assert count == len(rows) == int(share * 7 + 0.5)
    truths = [json.loads(truth)[""] for truth in stage.train.columns["truth"]]
    assert all(changed.targets[row] in made.targets and changed.targets[row] != truths[row] for row in rows)
    assert changed.targets[7:] == ["", ""]  # what has no target gets none
    again, _ = spoilt(made, stage.train, share, torch.Generator().manual_seed(0))
    assert again == changed


def test_a_wrong_answer_is_one_to_the_same_question(stage):
    questions = ["what colour is it?"] * 5 + ["what is it?"] * 4
    made = Made("answering", questions, ["red", "blue", "green", "red", "red", "star", "dot", "box", "dot"], 9, {})
    changed, count = spoilt(made, stage.train, 1.0, torch.Generator().manual_seed(1))
    assert count == 9
    assert set(changed.targets[:5]) <= {"red", "blue", "green"} and set(changed.targets[5:]) <= {"star", "dot", "box"}


def test_where_all_targets_are_the_same_none_can_be_wrong(stage):
    made = Made("captioning", [""] * 9, ["a thing"] * 9, 9, {})
    assert spoilt(made, stage.train, 1.0, torch.Generator().manual_seed(0)) == (made, 0)
