"""Answers judged by containment, by overlap and by being the same."""

import math

import pytest

from polymnia.errors import DataError
from polymnia.evaluation.answers import vqa_accuracy
from polymnia.evaluation.judged import contained, judged_accuracy, overlaps


@pytest.mark.parametrize(
    ("text", "right", "wanted"),
    [("tench", "tench", True), ("a fish: the Tench!", "tench", True), ("stench", "tench", False),
     ("tinca tinca", "tench, tinca tinca", False), ("great white shark", "white shark", True), ("", "tench", False)],
)  # fmt: skip
def test_a_name_may_be_anywhere(text, right, wanted):
    assert contained(text, right) is wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("[0.1, 0.2, 0.5, 0.6]", True), ("0.1 0.2 0.5 0.6", True), ("[0.1,0.2,0.3,0.6]", False), ("[.1,.2,.31,.6]", True),
     ("[0.1, 0.2, 0.5]", False), ("[0.5, 0.6, 0.1, 0.2]", False), ("[0, 0, 1, 1]", False), ("left", False)],
)  # fmt: skip
def test_a_box_must_overlap_by_more_than_half(text, wanted):
    assert overlaps(text, "[0.1, 0.2, 0.5, 0.6]") is wanted  # exactly half is not more than half


def test_each_answer_is_judged_in_its_own_way():
    texts, right = ["it is a cat", "it is a cat", "[0,0,1,1]"], [["cat"], ["cat"], ["[0, 0, 1, 0.9]"]]
    assert judged_accuracy(texts, right, ["contained", "", "box"]) == pytest.approx(2 / 3)
    ten = [["cat"] * 2 + ["dog"] * 8, ["dog"]]
    assert judged_accuracy(["cat", "a dog"], ten, ["", ""]) == vqa_accuracy(["cat", "a dog"], ten)
    assert math.isnan(judged_accuracy([], [], []))
    with pytest.raises(DataError, match=r"column 'judged' holds 'boxes'; accepted: box, contained, or empty"):
        judged_accuracy(["x"], [["x"]], ["boxes"])
