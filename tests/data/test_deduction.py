"""What pictures show is told by questions and answers."""

import pytest

from polymnia.data.deduction import COLOURS, shown


@pytest.mark.parametrize(
    ("question", "answer", "told"),
    [("what color is the circle?", "teal", {"colour": "teal", "shape": "circle"}),
     ("what shape is present?", "triangle", {"shape": "triangle"}),
     ("is there a red shape?", "yes", {"colour": "red"}),
     ("is there a red shape?", "no", {}),
     ("does the image not contain a red shape?", "no", {"colour": "red"}),
     ("is no circle present?", "yes", {})],
)  # fmt: skip
def test_one_question(question, answer, told):
    assert shown([(question, answer, 7)]).get(7, {}) == told


def test_what_is_left_when_all_others_are_not_there():
    denied = [(f"is there a {colour} shape?", "no", 1) for colour in COLOURS if colour != "brown"]
    assert shown(denied) == {1: {"colour": "brown"}} and shown(denied[1:]) == {}
    assert shown([("is no circle present?", "yes", 1), ("is a triangle present?", "no", 1)]) == {
        1: {"shape": "rectangle"}
    }


def test_pictures_are_told_apart():
    asked = [
        ("is there a red shape?", "yes", 1),
        ("is there a red shape?", "no", 2),
        ("what shape is present?", "x", 2),
    ]
    assert shown(asked) == {1: {"colour": "red"}}
