from collections import Counter

import torch

from polymnia.data.batch import Batch
from polymnia.memory.herding import Herding, herd
from polymnia.randomness import Randomness


def by_definition(features, m):
    """Algorithm 4 of the paper, literally."""
    mean, chosen = features.mean(0), []
    for k in range(1, m + 1):
        total = sum((features[i] for i in chosen), torch.zeros_like(mean))
        distance = [(mean - (total + f) / k).norm() if i not in chosen else torch.inf for i, f in enumerate(features)]
        chosen.append(min(range(len(features)), key=lambda i: float(distance[i])))
    return chosen


def test_herding_is_algorithm_4():
    for seed in range(5):
        features = torch.randn(25, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        assert herd(features, 12).tolist() == by_definition(features, 12)


def test_more_than_there_are_is_all_and_features_stay_as_they_were():
    features = torch.randn(3, 2)
    before = features.clone()
    assert sorted(herd(features, 9).tolist()) == [0, 1, 2]
    assert torch.equal(features, before)


def test_making_room_keeps_each_class_s_first_exemplars(numbered, names_in):
    memory = Herding(12, Randomness(0))
    memory.add(numbered(0, 40, [0] * 20 + [1] * 20))
    first = names_in(memory.all())
    order = {c: [n for n in first if n // 20 == c] for c in (0, 1)}
    assert order[0] == herd(torch.arange(20.0)[:, None], 6).tolist()
    memory.add(numbered(40, 60, [2] * 20))
    held = names_in(memory.all())
    assert Counter(n // 20 for n in held) == {0: 4, 1: 4, 2: 4}
    assert [n for n in held if n < 20] == order[0][:4] and [n for n in held if 20 <= n < 40] == order[1][:4]


def test_what_division_leaves_goes_to_the_first_classes(numbered):
    memory = Herding(11, Randomness(0))
    memory.add(numbered(0, 30, [0] * 10 + [1] * 10 + [2] * 10))
    assert memory.all().targets.bincount().tolist() == [4, 4, 3]
    small = Herding(2, Randomness(0))
    small.add(numbered(0, 30, [0] * 10 + [1] * 10 + [2] * 10))
    assert small.all().targets.tolist() == [0, 1]


def test_a_class_that_comes_again_is_chosen_from_old_exemplars_and_new_samples(numbered, names_in):
    memory = Herding(4, Randomness(0))
    memory.add(numbered(0, 10, [0] * 10))
    old = names_in(memory.all())
    memory.add(numbered(100, 110, [0] * 10))
    pool = [*old, *range(100, 110)]
    chosen = herd(torch.tensor(pool).float()[:, None], 4).tolist()
    assert sorted(names_in(memory.all())) == sorted(pool[i] for i in chosen)


def test_features_decide():
    memory = Herding(1, Randomness(0))
    memory.features = lambda batch: batch.values["x"][:, 0, 1:]
    values = torch.tensor([[0.0, 5.0], [1.0, 0.0], [2.0, 1.0]])[:, None]  # the mean is (1, 2): row 1 by both,
    memory.add(Batch({"x": values}, torch.zeros(3, dtype=torch.int64)))  # but by the second value alone row 2
    assert memory.all().values["x"].flatten().tolist() == [2.0, 1.0]
