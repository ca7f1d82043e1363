import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from polymnia.memory.reservoir import Reservoir
from polymnia.randomness import Randomness, derive


def one_by_one(numbers, capacity, seed):
    """Algorithm R as Vitter writes it, sample by sample, with the memory's random numbers."""
    blocks = [
        torch.rand(1024, generator=torch.Generator().manual_seed(derive(seed, "memory", b)), dtype=torch.float64)
        for b in range(numbers // 1024 + 1)
    ]
    uniform = torch.cat(blocks).tolist()
    held: list[int] = []
    for j in range(numbers):
        if j < capacity:
            held.append(j)
        elif (slot := int(uniform[j] * (j + 1))) < capacity:
            held[slot] = j
    return held


@given(
    capacity=st.integers(1, 40),
    sizes=st.lists(st.integers(0, 700), min_size=1, max_size=8),
    seed=st.integers(0, 2**31),
)
def test_in_batches_of_any_size_it_is_algorithm_r(numbered, names_in, capacity, sizes, seed):
    memory, start = Reservoir(capacity, Randomness(seed)), 0
    for size in sizes:
        memory.add(numbered(start, start + size))
        start += size
    assert names_in(memory.all()) == one_by_one(start, capacity, seed)
    assert memory.seen == start


def test_every_sample_seen_is_held_with_the_same_probability(numbered, names_in):
    n, capacity, rounds = 100, 20, 800
    counts = np.zeros(n)
    for seed in range(rounds):
        memory = Reservoir(capacity, Randomness(seed))
        for start in range(0, n, 25):
            memory.add(numbered(start, start + 25))
        counts[names_in(memory.all())] += 1
    expected, p = rounds * capacity / n, capacity / n
    chi = ((counts - expected) ** 2 / (expected * (1 - p))).sum() * (n - 1) / n
    assert chi < n - 1 + 5 * (2 * (n - 1)) ** 0.5  # chi-squared with n - 1 degrees of freedom, five deviations up


def test_a_batch_of_which_nothing_enters_does_not_touch_the_store(numbered, names_in):
    memory = Reservoir(1, Randomness(0))
    memory.add(numbered(0, 100_000))
    held, memory.store = names_in(memory.all()), None  # any write would fail
    entered = [j for j in range(100_000, 100_512) if memory._uniform(j, j + 1)[0] * (j + 1) < 1]
    assert not entered
    for start in range(100_000, 100_512, 32):
        memory.add(numbered(start, start + 32))
    assert memory.seen == 100_512 and len(held) == 1
