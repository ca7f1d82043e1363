"""The Fréchet distance: Gaussians by hand, few samples, its bias and its interval."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from polymnia.evaluation.frechet import _Resampled, frechet, frechet_of_gaussians, interval, real_against_real


def normal(n, d, seed=0):
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_gaussians_on_the_axes_are_a_sum_over_them():
    a, b = torch.tensor([1.0, 4.0, 0.0]), torch.tensor([9.0, 1.0, 2.0])  # a variance of 0 too
    apart = torch.tensor([1.0, -2.0, 0.0])
    expected = float(apart.square().sum() + (a.sqrt() - b.sqrt()).square().sum())  # 5 + 4 + 1 + 2
    assert frechet_of_gaussians(apart, a.diag(), torch.zeros(3), b.diag()) == pytest.approx(expected) == 12.0


def test_gaussians_that_are_turned_are_as_far_apart():
    turn = torch.linalg.qr(normal(3, 3)).Q
    a, b = torch.tensor([1.0, 4.0, 0.5]).double(), torch.tensor([9.0, 1.0, 2.0]).double()
    both = [turn @ each.diag() @ turn.T for each in (a, b)]
    straight = frechet_of_gaussians(torch.zeros(3), a.diag(), torch.zeros(3), b.diag())
    assert frechet_of_gaussians(torch.zeros(3), both[0], torch.zeros(3), both[1]) == pytest.approx(straight)


@pytest.mark.parametrize(("n", "m", "d"), [(40, 60, 5), (4, 6, 30), (30, 4, 10)])
def test_of_samples_it_is_that_of_their_gaussians_also_of_few(n, m, d):
    x, y = normal(n, d) @ normal(d, d, 2), normal(m, d, 1) + 3
    expected = frechet_of_gaussians(x.mean(0), x.T.cov(), y.mean(0), y.T.cov())
    assert frechet(x, y) == pytest.approx(expected, rel=1e-6)
    assert frechet(x, y) == pytest.approx(frechet(y, x)) and frechet(x, x) == pytest.approx(0, abs=1e-9)
    with pytest.raises(ValueError, match="a variance needs two samples, and 1 and"):
        frechet(x[:1], y)


@pytest.mark.parametrize(("n", "m", "d"), [(40, 60, 5), (6, 9, 30)])
def test_a_resample_is_the_distance_of_its_rows(n, m, d):
    x, y = normal(n, d) @ normal(d, d, 2), normal(m, d, 1) + 3
    rows = torch.randint(n, (n,), generator=torch.Generator().manual_seed(0))
    assert _Resampled(x, y)(rows) == pytest.approx(frechet(x[rows], y), rel=1e-5)


def test_an_interval_holds_the_distance_and_shrinks_with_samples():
    y = normal(400, 4, 1)
    few, many = (
        (low, high) for low, high in (interval(normal(n, 4) + 1, y, random=torch.Generator()) for n in (30, 300))
    )
    assert few[0] < frechet(normal(30, 4) + 1, y) < few[1]
    assert many[0] < 4 < many[1] and many[1] - many[0] < (few[1] - few[0]) / 2


def test_real_against_real_falls_with_the_number_of_samples():
    """E11 of the specification: 1.56 of 101 digits and 0.43 of 1,000 were found there, in another feature space."""
    random = torch.Generator().manual_seed(0)
    gaussian = list(real_against_real(normal(2000, 16), (50, 101, 300, 1000), random=random, times=3).values())
    digits = torch.from_numpy(load_digits().data.astype(np.float32)) / 16
    found = list(real_against_real(digits, (50, 101, 300, 890), random=random, times=3).values())
    for distances in (gaussian, found):
        assert distances == sorted(distances, reverse=True) and distances[0] > 4 * distances[-1] > 0
    with pytest.raises(ValueError, match="two sets of 1000 need 2000 vectors, and 1797 are given"):
        real_against_real(digits, (1000,), random=random)
