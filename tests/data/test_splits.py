"""Splits: groups stay whole, classes can be learned, shares are kept, and only the seed decides."""

import time
from collections import defaultdict

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from polymnia.data.samples import Samples
from polymnia.data.splits import SPLITS, splits
from polymnia.errors import DataError


def labelled(targets, groups=None, given_split=None, ids=None) -> Samples:
    columns = {}
    if groups is not None:
        columns["group"] = np.array(groups, dtype=np.str_)
    if given_split is not None:
        columns["split"] = np.array(given_split, dtype=np.str_)
    ids = [f"s{i}" for i in range(len(targets))] if ids is None else ids
    return Samples(np.array(ids, dtype=np.str_), {}, {}, torch.tensor(np.asarray(targets, dtype=np.int64)), columns)


@st.composite
def sets(draw) -> tuple[Samples, float, float, int]:
    """Any labelled set: tiny classes, groups over several classes, samples without label or group, shares, a seed."""
    n = draw(st.integers(1, 40))
    targets = draw(st.lists(st.integers(-1, draw(st.integers(0, 8))), min_size=n, max_size=n))
    names = st.sampled_from(["", *[f"g{i}" for i in range(draw(st.integers(1, 12)))]])
    groups = draw(st.lists(names, min_size=n, max_size=n))
    shares = st.sampled_from([0.0, 0.1, 0.2, 0.45])
    return labelled(targets, groups), draw(shares), draw(shares), draw(st.integers(0, 5))


def unit(samples: Samples) -> list[str]:
    return [g or f"id {i}" for g, i in zip(samples.columns["group"].tolist(), samples.ids.tolist(), strict=True)]


@given(sets())
def test_a_group_is_never_parted_and_every_class_can_be_learned(drawn):
    samples, valid, test, seed = drawn
    split = splits(samples, valid=valid, test=test, seed=seed)
    sides, units = defaultdict(set), defaultdict(set)
    for name, side, target in zip(unit(samples), split.tolist(), samples.targets.tolist(), strict=True):
        assert side in SPLITS
        sides[name].add(side)
        units[target].add(name)
    assert all(len(found) == 1 for found in sides.values())
    for target, names in units.items():
        there = set(split[samples.targets.numpy() == target].tolist())
        assert "train" in there
        if len(names) == 1:
            assert len(there) == 1
    assert valid or "valid" not in split
    assert test or "test" not in split


@given(sets(), st.randoms())
def test_only_names_and_seed_decide(drawn, random):
    samples, valid, test, seed = drawn
    split = splits(samples, valid=valid, test=test, seed=seed)
    rows = list(range(len(samples)))
    random.shuffle(rows)
    shuffled = splits(samples.subset(np.array(rows)), valid=valid, test=test, seed=seed)
    assert shuffled.tolist() == split[rows].tolist()


def test_shares_are_exact_where_every_sample_is_its_own_group():
    targets = np.repeat(np.arange(7), 50)
    split = splits(labelled(targets), valid=0.1, test=0.2, seed=3)
    for c in range(7):
        assert [int((split[targets == c] == side).sum()) for side in SPLITS] == [35, 5, 10]
    assert split.tolist() != splits(labelled(targets), valid=0.1, test=0.2, seed=4).tolist()


@pytest.mark.parametrize(
    ("sizes", "wanted"),
    [((1,), "train"), ((1, 1), "test train"), ((1, 1, 1), "test train valid"), ((9, 1, 1), "test train valid"),
     ((100, 90), "test train"), ((3,), "train")],
)  # fmt: skip
def test_a_small_class_is_on_as_many_sides_as_it_has_groups(sizes, wanted):
    groups = np.repeat([f"g{i}" for i in range(len(sizes))], sizes)
    for seed in range(4):
        split = splits(labelled([0] * sum(sizes), groups), valid=0.1, test=0.2, seed=seed)
        assert " ".join(sorted(set(split.tolist()))) == wanted
        assert (split[groups == "g0"] == "train").all() or sizes[0] == 1, "the largest group trains"


def test_shares_are_not_exceeded_by_large_groups():
    groups = np.repeat([f"g{i}" for i in range(8)], [30, 11, 11, 11, 11, 9, 9, 8])
    for seed in range(10):
        split = splits(labelled([0] * 100, groups), valid=0.1, test=0.2, seed=seed)
        assert 0 < (split == "test").sum() <= 20
        assert 0 < (split == "valid").sum() <= 10


def test_a_split_of_the_data_is_taken_and_its_gaps_are_drawn():
    stated = ["test", "train", "", ""] * 25
    groups = [f"pair {i // 4}" if i % 4 in (1, 2) else "" for i in range(100)]
    split = splits(labelled([0] * 100, groups, stated), valid=0.25, test=0.25, seed=0)
    assert [s for s, given_side in zip(split, stated, strict=True) if given_side] == [s for s in stated if s]
    assert (split[2::4] == "train").all(), "the rest of a group follows"
    assert (split[3::4] == "valid").all(), "there is test enough, so the shares are filled up elsewhere"
    whole = ["train", "test"] * 5
    assert splits(labelled([0] * 10, None, whole), valid=0.3, test=0.3, seed=0).tolist() == whole


def test_a_group_on_two_sides_is_an_error():
    with pytest.raises(DataError, match=r"group 'b' is in several splits \(train and test\)"):
        splits(labelled([0] * 4, ["a", "b", "b", "a"], ["", "train", "test", ""]), valid=0.1, test=0.2, seed=0)


def test_a_group_may_be_called_like_an_id():
    split = splits(labelled([0, 0], ["s1", ""], ["train", "test"]), valid=0, test=0.5, seed=0)
    assert split.tolist() == ["train", "test"]


@pytest.mark.parametrize(("valid", "test"), [(-0.1, 0.2), (0.5, 0.5), (0.1, float("nan"))])
def test_shares_must_leave_something(valid, test):
    with pytest.raises(DataError, match="leave some for training"):
        splits(labelled([0, 1]), valid=valid, test=test, seed=0)


def test_another_word_for_a_split_is_named():
    with pytest.raises(DataError, match="'validation'; accepted: train, valid, test, or empty"):
        splits(labelled([0, 1], None, ["train", "validation"]), valid=0.1, test=0.2, seed=0)


def test_cost_grows_with_the_samples_not_with_their_square():
    random = np.random.default_rng(0)

    def seconds(n: int, groups: int) -> float:
        columns = [f"g{i}" for i in random.integers(0, groups, n)] if groups else None
        samples, took = labelled(random.integers(0, 50, n), columns), []
        for _ in range(3):
            began = time.process_time()
            splits(samples, valid=0.1, test=0.2, seed=0)
            took.append(time.process_time() - began)
        return min(took)

    assert seconds(16000, 0) < 80 * seconds(1000, 0), "16 times the samples; squared it would be 256"
    assert seconds(16000, 8000) < 80 * seconds(1000, 500)
