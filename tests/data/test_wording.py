"""Prompts: one for tests, many for training, the same each time."""

from collections import Counter

import pytest

from polymnia.data.wording import TEMPLATES, asked, asked_in_training, plain, reworded
from polymnia.errors import SettingsError


def test_a_test_asks_in_the_first_way():
    assert asked("captioning", "sound") == "describe the sound."
    assert asked("answering", "video", "who sings?") == "who sings?"
    assert all(way == way.lower() for ways in TEMPLATES.values() for way in ways)


def test_training_asks_in_all_ways_about_equally_often():
    ways = [asked_in_training("captioning", "image", seed=0, sample=str(at)) for at in range(3000)]
    counts = Counter(ways)
    assert set(counts) == {way.format(m="image", q="") for way in TEMPLATES["captioning"]}
    assert min(counts.values()) > 130 and max(counts.values()) < 280  # of 200 each


def test_the_question_is_in_every_wording():
    for at in range(200):
        assert "how many are red?" in asked_in_training(
            "answering", "image", "how many are red?", seed=0, sample=str(at)
        )


def test_a_sample_is_asked_the_same_way_each_time_and_by_the_seed():
    def ways(seed):
        return [asked_in_training("answering", "image", "q", seed=seed, sample=f"s{at}") for at in range(40)]

    assert ways(0) == ways(0) != ways(1)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("A Dog.", "a dog"),
        ('He said: "no!" (twice)', "he said no twice"),
        ("it's 3,000 - more or less?", "it's 3,000 - more or less?"),
        ("a~b;c*d#e", "a b c d e"),
        ("  \n ", ""),
    ],
)
def test_answers_are_written_plainly(given, wanted):
    assert plain(given) == wanted == plain(wanted)


def test_an_answer_has_so_many_words_at_most():
    assert plain("w " * 60) == " ".join("w" * 50) and plain("one two three", words=2) == "one two"


def test_a_stage_can_ask_in_wordings_of_its_own():
    made = [reworded("answering", "image", "q?", wordings=(1, 4), sample=str(at)) for at in range(400)]
    counts = Counter(made)
    assert set(counts) == {("question: q? answer:", 1), ("tell me: q?", 4)} and min(counts.values()) > 150
    assert made == [reworded("answering", "image", "q?", wordings=(1, 4), sample=str(at)) for at in range(400)]
    for task in TEMPLATES:
        assert reworded(task, "image", "q?") == (asked(task, "image", "q?"), 0)


@pytest.mark.parametrize("wrong", [(), (-1,), (0, 6)])
def test_there_is_no_such_wording(wrong):
    with pytest.raises(SettingsError, match=r"numbers from 0 to 5 are needed, one at least: 0 \(draw \{q\}\.\)"):
        reworded("generation", "image", "a dog", wordings=wrong)
