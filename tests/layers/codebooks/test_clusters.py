import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from polymnia.layers.codebooks.clusters import means, rows, spread
from polymnia.layers.codebooks.nearest import nearest


def drawing(seed=0):
    return torch.Generator().manual_seed(seed)


@given(st.integers(1, 20), st.integers(1, 50), st.integers(0, 20))
def test_rows_come_round_by_round(among, count, seed):
    found = torch.bincount(rows(among, count, generator=drawing(seed)), minlength=among)
    assert int(found.sum()) == count and int(found.max() - found.min()) <= 1


@pytest.mark.parametrize("seed", range(8))
def test_separate_clusters_each_get_a_centre(seed):
    centres = 1000 * torch.eye(5)
    vectors = centres.repeat(10, 1) + torch.randn(50, 5, generator=drawing(seed))
    found = means(vectors, 5, generator=drawing(seed))
    wanted = vectors.view(10, 5, 5).mean(0)
    torch.testing.assert_close(found[nearest(centres, found).ids], wanted, atol=1e-2, rtol=0)


def test_drawn_vectors_are_different_as_long_as_there_are_any():
    vectors = torch.tensor([[0.0], [0.0], [1.0], [1.0], [5.0]])
    found = spread(vectors, 5, generator=drawing())
    assert {0.0, 1.0, 5.0} <= set(found.flatten().tolist()) and len(found.unique()) == 5


def test_the_same_vector_throughout_is_no_trouble():
    assert torch.equal(means(torch.ones(4, 2), 3, generator=drawing()), torch.ones(3, 2))


def test_a_distance_that_is_not_a_number_is_not_drawn_forever():
    found = spread(torch.tensor([[0.0], [3e38], [-3e38]]), 2, generator=drawing())  # squares overflow
    assert found.shape == (2, 1)
