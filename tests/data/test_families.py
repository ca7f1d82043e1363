"""Families: near-duplicates are found by name and by caption, along chains, in any order."""

from hypothesis import given
from hypothesis import strategies as st

from polymnia.data.families import families, head

WORDS = st.sampled_from(["cow", "cow_white", "redcow", "bull", "01", "a"])
NAMES = st.builds("{}/{}{}".format, st.sampled_from(["farm", "town"]), WORDS, st.sampled_from(["", "2", "-left"]))
CAPTIONS = st.sampled_from(["A cow.", "a cow", "A bull!", "", "The letter a."])


@given(st.dictionaries(NAMES, CAPTIONS), st.randoms())
def test_same_head_or_caption_is_one_family_whatever_the_order(captions, random):
    found = families(captions)
    assert set(found) == set(captions) and set(found.values()) <= set(captions)
    for one in captions:
        for other in captions:
            same_head = one.split("/")[0] == other.split("/")[0] and head(one[5:]) == head(other[5:])
            words = [captions[name].lower().strip(".!") for name in (one, other)]
            if same_head or (words[0] == words[1] and words[0]):
                assert found[one] == found[other]
    items = list(captions.items())
    random.shuffle(items)
    assert families(dict(items)) == found


def test_a_chain_is_one_family():
    captions = {
        "farm/cow": "A cow.",
        "farm/cow_white": "A white cow.",
        "town/milk": "a white cow",
        "town/pig": "A pig.",
    }
    assert families(captions) == {**dict.fromkeys(list(captions)[:3], "farm/cow"), "town/pig": "town/pig"}


def test_captions_that_are_empty_join_nobody():
    assert len(set(families({"a/cow": "", "a/pig": "", "b/hen": ""}).values())) == 3


def test_a_colour_that_is_all_there_is_stays():
    assert [head(name) for name in ("orange", "greens", "redo", "Reds2")] == ["orange", "greens", "redo", "reds"]
