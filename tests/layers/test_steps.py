import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from polymnia.errors import SettingsError
from polymnia.layers.projectors import masked_mean
from polymnia.layers.steps import resampled


def by_hand(tokens, steps):
    """The mean of a piecewise constant function over each stretch, by an integral on a fine grid of L · N cells."""
    length = len(tokens)
    fine = tokens.repeat_interleave(steps, 0)  # (L · N, d), each cell 1 / N of a token
    return fine.view(steps, length, -1).mean(1)


@given(st.lists(st.integers(0, 7), min_size=1, max_size=4), st.integers(1, 6), st.integers(0, 99))
def test_each_step_is_the_mean_of_its_stretch_of_valid_tokens(lengths, steps, seed):
    random = torch.Generator().manual_seed(seed)
    values = torch.randn(len(lengths), 7, 3, generator=random)
    valid = torch.zeros(len(lengths), 7, dtype=torch.bool)
    for row, length in enumerate(lengths):
        valid[row, torch.randperm(7, generator=random)[:length]] = True
    found = resampled(values, valid, steps)
    assert found.shape == (len(lengths), steps, 3) and found.dtype == torch.float32
    for row, length in enumerate(lengths):
        wanted = by_hand(values[row][valid[row]], steps) if length else torch.zeros(steps, 3)
        torch.testing.assert_close(found[row], wanted)


@given(st.integers(1, 9), st.integers(1, 6), st.integers(0, 20), st.integers(0, 99))
def test_padding_has_no_influence_to_the_last_bit(length, steps, more, seed):
    values = torch.randn(2, length, 3, generator=torch.Generator().manual_seed(seed))
    whole = torch.ones(2, length, dtype=torch.bool)
    bare = resampled(values, whole, steps)
    padded = torch.cat([values, torch.full((2, more, 3), math.nan)], 1)
    valid = torch.cat([whole, torch.zeros(2, more, dtype=torch.bool)], 1)
    assert torch.equal(resampled(padded, valid, steps), bare)
    assert torch.equal(resampled(padded.flip(1), valid.flip(1), steps), resampled(values.flip(1), whole, steps))
    torch.testing.assert_close(resampled(values, None, steps), bare)


def test_one_step_is_the_masked_mean_and_as_many_steps_as_tokens_are_the_tokens():
    values, valid = torch.randn(4, 5, 3), torch.rand(4, 5) < 0.6
    torch.testing.assert_close(resampled(values, valid, 1).squeeze(1), masked_mean(values, valid))
    torch.testing.assert_close(resampled(values, None, 1).squeeze(1), masked_mean(values, None))
    assert resampled(values, None, 5) is values
    assert torch.equal(resampled(values, torch.ones(4, 5, dtype=torch.bool), 5), values)


def test_fewer_tokens_than_steps_repeat():
    values = torch.tensor([[[1.0], [3.0]]])
    assert resampled(values, None, 4).flatten().tolist() == [1, 1, 3, 3]
    assert resampled(values, None, 3).flatten().tolist() == [1, 2, 3]
    assert resampled(values[:, :1], None, 6).flatten().tolist() == [1] * 6


def test_the_gradient_is_the_share_and_never_reaches_what_is_invalid():
    values = torch.randn(2, 4, 2, dtype=torch.float64, requires_grad=True)
    valid = torch.tensor([[True, False, True, True], [False] * 4])
    assert torch.autograd.gradcheck(lambda v: resampled(v, valid, 3), values)
    (found,) = torch.autograd.grad(resampled(values, valid, 2)[0, 0].sum(), values)
    torch.testing.assert_close(found[0, :, 0], torch.tensor([2 / 3, 0, 1 / 3, 0], dtype=torch.float64))
    assert not found[1].any()


def test_steps_below_one_say_what_is_accepted():
    with pytest.raises(SettingsError, match="steps: 0 is given; at least 1 is accepted"):
        resampled(torch.zeros(1, 1, 1), None, 0)
