from collections import Counter
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from polymnia.memory.class_balanced import ClassBalanced
from polymnia.randomness import Randomness


@given(
    capacity=st.integers(1, 30),
    targets=st.lists(st.integers(-1, 5), min_size=1, max_size=120),
    cuts=st.lists(st.integers(1, 119), max_size=6),
)
def test_in_batches_of_any_size_it_holds_the_smallest_ranks_and_keys_of_all_samples(
    numbered, names_in, capacity, targets, cuts
):
    memory = ClassBalanced(capacity, Randomness(3))
    edges = [0, *sorted({c for c in cuts if c < len(targets)}), len(targets)]
    for start, stop in pairwise(edges):
        memory.add(numbered(start, stop, targets[start:stop]))
    keys = ClassBalanced(0, Randomness(3))._uniform(0, len(targets))
    rank = [
        sum(t == u and k > v for u, v in zip(targets, keys, strict=True)) for t, k in zip(targets, keys, strict=True)
    ]
    wanted = sorted(range(len(targets)), key=lambda i: (rank[i], keys[i]))[:capacity]
    assert sorted(names_in(memory.all())) == sorted(wanted)
    assert memory.all().targets.tolist() == [targets[i] for i in names_in(memory.all())]


@given(targets=st.lists(st.integers(0, 6), min_size=1, max_size=300), capacity=st.integers(1, 60))
def test_classes_share_the_room_equally_and_small_ones_leave_theirs_to_others(numbered, targets, capacity):
    memory = ClassBalanced(capacity, Randomness(0))
    for start in range(0, len(targets), 16):
        memory.add(numbered(start, min(start + 16, len(targets)), targets[start : start + 16]))
    held, seen = Counter(memory.all().targets.tolist()), Counter(targets)
    assert len(memory) == min(capacity, len(targets))
    largest = max(held.values())
    assert all(held[c] == seen[c] or held[c] >= largest - 1 for c in seen)


def test_within_a_class_every_sample_is_held_with_the_same_probability(numbered, names_in):
    rounds, counts = 600, np.zeros(60)
    targets = [0] * 40 + [1] * 20  # class 0 comes first and has to make room later
    for seed in range(rounds):
        memory = ClassBalanced(10, Randomness(seed))
        for start in range(0, 60, 20):
            memory.add(numbered(start, start + 20, targets[start : start + 20]))
        counts[names_in(memory.all())] += 1
    for part, p in ((counts[:40], 5 / 40), (counts[40:], 5 / 20)):
        assert np.abs(part - rounds * p).max() < 5 * (rounds * p * (1 - p)) ** 0.5


def test_a_batch_of_which_nothing_enters_does_not_touch_the_store(numbered):
    memory = ClassBalanced(4, Randomness(0))
    memory.add(numbered(0, 50_000, np.arange(50_000) % 2))
    memory.store = None  # any write would fail
    worst = max(memory.keys)
    start = next(s for s in range(50_000, 60_000) if (memory._uniform(s, s + 10) > worst).all())
    memory.seen = start
    memory.add(numbered(start, start + 10, [0, 1] * 5))
    assert memory.seen == start + 10 and len(memory) == 4
