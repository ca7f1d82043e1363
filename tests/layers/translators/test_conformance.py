"""One suite over every translator that is registered."""

import pytest
import torch

from polymnia.errors import DataError, StateError
from polymnia.layers.translators.base import TRANSLATORS
from polymnia.state import join, split

SMALL = {"gaussian": {"steps": 40}}
every = pytest.mark.parametrize("name", TRANSLATORS.names())


def made(name, width=6, **settings):
    kind = TRANSLATORS.get(name)
    return kind(width, kind.Settings(**SMALL.get(name, {}) | settings))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@every
def test_a_draw_agrees_with_its_target_far_more_often_than_another_rows_draw(world, name):
    """On pairs that it was not fitted on, by the nearest code (spec section 7)."""
    translator = TRANSLATORS.get(name)(6)
    translator.fit(*world(seed=1)[:2], seed=0)
    source, target, codes = world(400, seed=2)
    drawn = translator.sample(source, generator=generator())
    wanted, found = (torch.cdist(vectors, codes).argmin(1) for vectors in (target, drawn))
    agreement = (found == wanted).double().mean()
    apart = (found.roll(1) == wanted).double().mean()
    assert agreement > 3 * apart and apart < 0.3


@every
def test_its_deviation_is_that_of_what_it_misses(world, name):
    translator = TRANSLATORS.get(name)(6)
    translator.fit(*world(seed=1)[:2], seed=0)
    source, target, _ = world(seed=2)
    mean, deviation = translator(source)
    assert 0.7 < ((target - mean) / deviation).square().mean() < 1.4


@every
def test_nothing_of_it_trains_and_inputs_keep_their_gradient(world, name):
    translator, (source, target, _) = made(name), world(50)
    assert not any(p.requires_grad for p in translator.parameters())
    source.requires_grad_()
    target.requires_grad_()
    translator.fit(source, target, seed=0)
    assert source.grad is None and target.grad is None
    assert not any(p.requires_grad or p.grad is not None for p in translator.parameters())
    mean, _ = translator(source)
    mean.sum().backward()
    assert source.grad.any() and not any(p.grad is not None for p in translator.parameters())


@every
def test_the_same_pairs_and_seed_give_the_same_translator_whatever_was_before(world, name):
    source, target, _ = world(300)
    one, other = made(name), made(name)
    one.fit(source, target, seed=3)
    torch.rand(7)
    other.fit(target, source, seed=5)
    state = torch.get_rng_state()
    other.fit(source, target, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in one.state_dict().items())


@every
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_it_can_be_fitted_where_gradients_are_off(world, name, mode):
    source, target, _ = world(60)
    one, other = made(name), made(name)
    one.fit(source, target, seed=0)
    with mode():
        other.fit(source * 1.0, target * 1.0, seed=0)
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in one.state_dict().items())
    other(source.requires_grad_())[0].sum().backward()


@every
def test_draws_come_from_the_given_generator_alone(world, name):
    translator, (source, target, _) = made(name), world(60)
    translator.fit(source, target, seed=0)
    state = torch.get_rng_state()
    one, same, other = (translator.sample(source, generator=generator(seed)) for seed in (0, 0, 1))
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), state)


@every
def test_sequences_are_their_vectors(world, name):
    source, target, _ = world(60)
    one, other = made(name), made(name)
    one.fit(source, target, seed=0)
    other.fit(source.view(20, 3, 6), target.view(20, 3, 6), seed=0)
    for found, wanted in zip(other(source.view(20, 3, 6)), one(source), strict=True):
        torch.testing.assert_close(found, wanted.view(20, 3, 6))


@every
def test_goes_through_the_disk_format(world, name):
    translator, twin, (source, target, _) = made(name), made(name), world(60)
    with pytest.raises(StateError, match=rf"'{name}' has not been fitted; call fit"):
        twin(source)
    translator.fit(source, target, seed=0)
    twin.load_state_dict(join(*split(dict(translator.state_dict()))))
    assert all(torch.equal(found, wanted) for found, wanted in zip(twin(source), translator(source), strict=True))


@every
def test_constant_dimensions_one_pair_and_large_scales_stay_finite(world, name):
    source, target, _ = world(200)
    source[:, 0], target[:, 1] = 3.0, -2.0
    translator = made(name)
    translator.fit(1e3 * source, 1e3 * target, seed=0)
    mean, deviation = translator(1e3 * source)
    assert mean.isfinite().all() and deviation.isfinite().all()
    torch.testing.assert_close(mean[:, 1], torch.full((200,), -2e3), rtol=1e-3, atol=0)
    translator.fit(source[:1], target[:1], seed=0)
    torch.testing.assert_close(translator(source[:1])[0], target[:1], rtol=1e-3, atol=1e-3)


@every
def test_pairs_that_cannot_be_learned_from_are_refused_in_words(name):
    translator = made(name)
    for source, target in ((torch.ones(3, 6), torch.ones(4, 6)), (torch.ones(3, 5), torch.ones(3, 5))):
        with pytest.raises(DataError, match=r"\(M, 6\) twice, M > 0, is accepted"):
            translator.fit(source, target, seed=0)
    with pytest.raises(DataError, match="M > 0"):
        translator.fit(torch.ones(0, 6), torch.ones(0, 6), seed=0)
    with pytest.raises(DataError, match="the target holds values that are not finite"):
        translator.fit(torch.ones(3, 6), torch.full((3, 6), float("nan")), seed=0)
