import numpy as np
import pytest
import torch

from polymnia.errors import SettingsError
from polymnia.layers.translators.ridge import Ridge


@pytest.mark.parametrize("strength", [1e-9, 1.0, 50.0])
def test_it_is_least_squares_with_rows_that_hold_it_at_zero(world, strength):
    source, target, _ = world(80)
    made = Ridge(6, Ridge.Settings(strength=strength))
    made.fit(source, target, seed=0)
    x, y = source.double().numpy(), target.double().numpy()
    centred, wanted = x - x.mean(0), y - y.mean(0)
    held = np.vstack([centred, np.sqrt(strength) * np.eye(6)]), np.vstack([wanted, np.zeros((6, 6))])
    weight = np.linalg.lstsq(*held, rcond=None)[0]
    fitted = (x - x.mean(0)) @ weight + y.mean(0)
    mean, deviation = made(source)
    np.testing.assert_allclose(made.weight.numpy(), weight, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(mean.numpy(), fitted, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(deviation[0].numpy(), np.sqrt(((y - fitted) ** 2).mean(0)), rtol=1e-4)


def test_the_deviation_is_the_same_everywhere(world):
    source, target, _ = world(80)
    made = Ridge(6)
    made.fit(source, target, seed=0)
    _, deviation = made(torch.randn(2, 5, 6))
    assert deviation.shape == (2, 5, 6) and (deviation == deviation[0, 0]).all()


def test_a_strong_hold_leaves_the_mean(world):
    source, target, _ = world(80)
    made = Ridge(6, Ridge.Settings(strength=1e9))
    made.fit(source, target, seed=0)
    torch.testing.assert_close(made(source)[0], target.mean(0).expand(80, 6), atol=1e-3, rtol=1e-3)


def test_fewer_pairs_than_dimensions_work(world):
    source, target, _ = world(3)
    made = Ridge(6)
    made.fit(source, target, seed=0)
    assert made(source)[0].isfinite().all()


def test_wrong_settings_are_named():
    with pytest.raises(SettingsError, match=r"translator\.strength: 0\.0 is given; above 0"):
        Ridge.Settings(strength=0.0)
