"""Kernel distance, diversity and alignment: by hand, and what a few samples of one distribution give."""

from statistics import fmean

import pytest
import torch

from polymnia.evaluation.kernel_distance import kernel_distance
from polymnia.evaluation.likeness import alignment, diversity


def test_the_kernel_distance_is_that_of_a_loop():
    x, y = torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]]), torch.tensor([[0.0, 1.0], [3.0, 1.0]])

    def kernel(a, b):
        return (float(a @ b) / 2 + 1) ** 3

    def within(rows):
        return fmean(kernel(a, b) for i, a in enumerate(rows) for j, b in enumerate(rows) if i != j)

    expected = within(x) + within(y) - 2 * fmean(kernel(a, b) for a in x for b in y)
    assert kernel_distance(x, y) == pytest.approx(expected)
    with pytest.raises(ValueError, match="two samples a side"):
        kernel_distance(x[:1], y)


def test_the_kernel_distance_has_no_bias():
    random = torch.Generator().manual_seed(0)
    found = [kernel_distance(*torch.randn(2, 10, 3, generator=random)) for _ in range(400)]
    error = torch.tensor(found).std() / 20
    assert abs(fmean(found)) < 3 * error and min(found) < 0


def test_diversity_is_within_a_concept():
    vectors = torch.tensor([[0.0, 0.0], [3.0, 4.0], [100.0, 0.0], [7.0, 7.0]])
    assert diversity(vectors, ["a", "a", "b", "c"]) == 5.0
    assert diversity(vectors, ["a", "a", "c", "c"]) == pytest.approx((5 + (93**2 + 49) ** 0.5) / 2)
    assert diversity(vectors, ["a", "b", "c", "d"]) is None


def test_alignment_is_matched_by_concept():
    real, of_real = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]), ["a", "a", "b"]
    drawn = torch.tensor([[2.0, 0.0], [-3.0, 0.0], [1.0, 1.0]])
    assert alignment(drawn, ["a", "b", "unknown"], real, of_real) == pytest.approx((0.5 + 1) / 2)
    assert alignment(drawn, ["x", "y", "z"], real, of_real) is None
