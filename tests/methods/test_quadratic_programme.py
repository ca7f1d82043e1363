import itertools

import pytest
import torch

from polymnia.methods.quadratic_programme import nonnegative


@pytest.mark.parametrize("seed", range(12))
def test_no_set_of_free_numbers_is_better(seed):
    random = torch.Generator().manual_seed(seed)
    k = 1 + seed % 5
    root = torch.randn(k, k + seed % 3, generator=random, dtype=torch.float64)
    p = root @ root.T + 1e-3 * torch.eye(k, dtype=torch.float64)
    c = torch.randn(k, generator=random, dtype=torch.float64)

    def value(v):
        return float(v @ p @ v / 2 + c @ v)

    def among(free):
        v = torch.zeros(k, dtype=torch.float64)
        if free:
            v[list(free)] = torch.linalg.solve(p[list(free)][:, list(free)], -c[list(free)])
        return v

    sets = (free for size in range(k + 1) for free in itertools.combinations(range(k), size))
    best = min(value(v) for v in map(among, sets) if bool((v >= 0).all()))
    found = nonnegative(p, c)
    assert bool((found >= 0).all()) and value(found) == pytest.approx(best, abs=1e-9)


def test_nothing_to_do_is_nothing():
    assert nonnegative(torch.eye(3), torch.ones(3)).tolist() == [0, 0, 0]
    assert nonnegative(torch.zeros(0, 0), torch.zeros(0)).tolist() == []
    assert nonnegative(torch.eye(2), torch.zeros(2)).tolist() == [0, 0]
