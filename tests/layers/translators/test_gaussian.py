import math

import pytest
import torch

from polymnia.errors import SettingsError
from polymnia.layers.translators.gaussian import Gaussian, negative_log_likelihood
from polymnia.layers.translators.ridge import Ridge


def test_likelihood_by_hand():
    target, mean = torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 4.0]])
    log_variance = torch.tensor([[0.0, math.log(4.0)]])
    by_hand = ((1 / 1 + 0) + (4 / 4 + math.log(4))) / 2 / 2
    assert float(negative_log_likelihood(target, mean, log_variance)) == pytest.approx(by_hand)
    normal = torch.distributions.Normal(mean, (log_variance / 2).exp())
    without = -normal.log_prob(target).mean() - math.log(2 * math.pi) / 2
    torch.testing.assert_close(negative_log_likelihood(target, mean, log_variance), without)


def test_it_says_where_it_is_sure():
    """Noise that grows with the first dimension: one deviation for all cannot say so."""
    random = torch.Generator().manual_seed(0)
    source = torch.rand(3000, 4, generator=random)
    target = source + (0.05 + source[:, :1]) * torch.randn(3000, 4, generator=random)
    made = Gaussian(4, Gaussian.Settings(steps=200))
    made.fit(source, target, seed=0)
    probe = torch.full((2, 4), 0.5)
    probe[:, 0] = torch.tensor([0.1, 0.9])
    sure, unsure = made(probe)[1]
    assert (unsure > 3 * sure).all()


def test_it_bends_where_the_linear_rival_cannot():
    random = torch.Generator().manual_seed(0)
    source = torch.randn(2000, 4, generator=random)
    target = source.abs() + 0.1 * torch.randn(2000, 4, generator=random)
    wrong = {}
    for made in (Gaussian(4), Ridge(4)):
        made.fit(source[:1500], target[:1500], seed=0)
        wrong[made.name] = (made(source[1500:])[0] - target[1500:]).square().mean()
    assert wrong["gaussian"] < wrong["ridge"] / 2


def test_the_log_variance_is_clamped_on_the_standardised_scale():
    random = torch.Generator().manual_seed(0)
    source = 7 * torch.randn(400, 4, generator=random)
    made = Gaussian(4, Gaussian.Settings(steps=300))
    made.fit(source, source, seed=0)
    _, deviation = made(source)
    least = source.std(0, correction=0) * math.exp(-3)
    torch.testing.assert_close(deviation.amin(0), least)


def test_another_seed_gives_another_fit():
    source = torch.randn(100, 4, generator=torch.Generator().manual_seed(0))
    one, other = Gaussian(4, Gaussian.Settings(steps=5)), Gaussian(4, Gaussian.Settings(steps=5))
    one.fit(source, source, seed=0)
    other.fit(source, source, seed=1)
    assert not torch.equal(one(source)[0], other(source)[0])


def test_its_layers_are_as_wide_as_stated_and_making_one_draws_nothing():
    state = torch.get_rng_state()
    made = Gaussian(5)
    assert torch.equal(torch.get_rng_state(), state)
    assert [tuple(p.shape) for p in made.parameters()] == [(10, 5), (10,), (10, 10), (10,)]


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"batch": 0}, {"lr": 0.0}])
def test_wrong_settings_are_named(wrong):
    with pytest.raises(SettingsError, match=rf"translator\.{next(iter(wrong))}"):
        Gaussian.Settings(**wrong)
