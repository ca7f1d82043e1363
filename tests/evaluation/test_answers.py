"""Short answers: which are the same, and how many annotators make one right."""

import pytest

from polymnia.evaluation.answers import exact_match, matches, normalised, vqa_accuracy


@pytest.mark.parametrize(
    ("given", "same"),
    [
        ("Red", "red"),
        ("  red \n", "red"),
        ("red.", "red"),
        ("a red star", "red star"),
        ("The box and an apple", "box and apple"),
        ("two", "2"),
        ("Ten", "10"),
        ("none", "0"),
        ("twofold", "twofold"),
        ("1,000", "1000"),
        ("red,blue", "red blue"),
        ("red, blue", "red blue"),
        ("1, 2", "1 2"),
        ("2.5", "2.5"),
        (".5", ".5"),
        ("2.", "2"),
        ("t-shirt", "t shirt"),
        ("yes/no", "yes no"),
        ("don't", "dont"),
        ("man’s", "mans"),
        ("it's (big)!", "its big"),
        ("a", "a"),
        ("the", "the"),
        ("", ""),
        ("?!", ""),
        ("été", "été"),
        ("snake_case", "snake case"),
    ],
)
def test_normalised(given, same):
    assert normalised(given) == same
    assert normalised(same) == same


@pytest.mark.parametrize(("agreeing", "score"), [(0, 0), (1, 1 / 3), (2, 2 / 3), (3, 1), (4, 1), (10, 1)])
def test_accuracy_is_by_agreement_of_ten_annotators(agreeing, score):
    assert vqa_accuracy(["Red."], [["red"] * agreeing + ["blue"] * (10 - agreeing)]) == pytest.approx(score)


def test_with_fewer_references_an_answer_is_right_or_wrong():
    assert vqa_accuracy(["two dots"], [["2 dots", "three dots", "four"]]) == 1
    assert vqa_accuracy(["five dots"], [["2 dots"] * 9]) == 0


def test_accuracy_is_the_mean_over_answers_and_there_must_be_as_many_references():
    assert vqa_accuracy(["red", "blue"], [["red"], ["red"]]) == 0.5
    assert vqa_accuracy([], []) != vqa_accuracy([], [])
    with pytest.raises(ValueError, match="shorter"):
        vqa_accuracy(["red"], [])


def test_what_counts_as_equal_may_be_told():
    assert matches("A dot", ["dot"]) and not matches("A dot", ["dot"], like=str.lower)
    assert exact_match(["A dot", "dot"], [["dot"], ["dot"]], like=str.lower) == 0.5
