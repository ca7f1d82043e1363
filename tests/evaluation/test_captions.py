"""Scores of captions: equal to the package's on plain texts, and what they promise."""

import random

import pytest

from polymnia.evaluation.captions import HIGHEST, bleu4, cider, rouge_l

WORDS = ["a", "the", "red", "blue", "green", "star", "dot", "box", "left", "right", "two", "three", "on", "is", "under"]


def pairs(n=20, seed=0):
    """Return random texts and their random references, between one and five each."""
    draw = random.Random(seed)

    def text():
        return " ".join(draw.choices(WORDS, k=draw.randint(3, 12)))

    return [text() for _ in range(n)], [[text() for _ in range(draw.randint(1, 5))] for _ in range(n)]


def test_cider_is_the_package_s_on_twenty_random_pairs():
    from pycocoevalcap.cider.cider import Cider

    texts, right = pairs()
    expected, _ = Cider().compute_score(dict(enumerate(right)), {i: [text] for i, text in enumerate(texts)})
    assert cider(texts, right) == pytest.approx(expected, abs=1e-6)
    assert 0 < expected < HIGHEST


def test_a_text_that_is_its_reference_scores_ten():
    texts = ["two red stars on the left", "three blue dots on the right", "one green box under a dot"]
    assert cider(texts, [[text] for text in texts]) == pytest.approx(HIGHEST)


def test_n_grams_of_every_reference_count_for_nothing():
    same = ["a red star is here"] * 3
    assert cider(same, [[text] for text in same]) == 0
    assert cider(same[:1], [same[:1]]) == 0


def test_the_order_of_items_changes_nothing():
    texts, right = pairs()
    order = random.Random(1).sample(range(20), 20)
    turned = [texts[i] for i in order], [right[i] for i in order]
    for score in (cider, bleu4, rouge_l, lambda *of: cider(*of, single=True, seed=3)):
        assert score(*turned) == pytest.approx(score(texts, right))


def test_texts_are_compared_in_plain_words():
    texts, right = ["Two RED stars!", "a (blue) dot."], [["two red stars"], ["A blue dot"]]
    for score in (cider, bleu4, rouge_l):
        assert score(texts, right) == score(["two red stars", "a blue dot"], right)
    assert rouge_l(texts, right) == 1


def test_one_reference_is_drawn_by_the_seed_whatever_the_place():
    texts, right = pairs()
    found = {cider(texts, right, single=True, seed=seed) for seed in range(5)}
    assert len(found) > 1
    assert cider(texts, right, single=True, seed=0) == cider(texts, right, single=True, seed=0)
    alone = [[among[0]] for among in right]
    assert cider(texts, alone, single=True, seed=7) == cider(texts, alone)


def test_bleu_is_counted_over_all_texts_and_long_enough_ones_alone():
    texts = ["the red star is on the left", "a blue dot is under it"]
    assert bleu4(texts, [[text] for text in texts]) == pytest.approx(1, abs=1e-6)
    assert bleu4(["a red star"], [["a red star"]]) < 0.05
    # by hand: n-grams right 4/5, 3/4, 2/3, 1/2 of "a b c d x" against "a b c d e": (1/5) ** (1/4)
    assert bleu4(["a b c d x"], [["a b c d e"]]) == pytest.approx(0.2**0.25, abs=1e-6)


def test_rouge_is_the_longest_common_subsequence():
    # "a c e" in "a b c d e": precision 1, recall 3/5, beta 1.2
    assert rouge_l(["a c e"], [["a b c d e", "x y"]]) == pytest.approx(2.44 * 0.6 / (0.6 + 1.44))
    assert rouge_l([""], [["a b"]]) == 0


def test_of_nothing_there_is_no_score():
    assert all(score([], []) != score([], []) for score in (cider, bleu4, rouge_l))
