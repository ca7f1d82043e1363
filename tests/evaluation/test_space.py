"""Clips by modality and sample, and samples that two stages know by one id."""

import pytest
import torch

from polymnia.evaluation.space import Space, clips


def test_clips_are_means_over_steps_of_the_samples_that_have_the_modality(linear, digits_with_gaps):
    method = linear([digits_with_gaps[0]], codes=((1.0,) * 16, (-1.0,) * 16))
    test = digits_with_gaps[0].test
    found = clips(method, test, "spectrum")
    has = test.present["spectrum"]
    assert 0 < int(has.sum()) < len(test)
    assert found.ids.tolist() == test.ids[has.numpy()].tolist()
    assert found.vectors.shape == (len(found), 16) and torch.equal(found.targets, test.targets[has])
    assert torch.equal(found.coded, torch.where(found.codes == 0, 1.0, -1.0).expand(-1, 16))


def test_without_codes_the_clips_are_continuous(linear, digits):
    found = clips(linear([digits[0]]), digits[0].test, "pixels")
    assert found.codes is None and torch.equal(found.coded, found.vectors)


def test_what_is_asked_leaves_the_model_in_training(linear, digits):
    method = linear([digits[0]])
    method.model.train()
    clips(method, digits[0].test, "pixels")
    assert method.model.training


def test_modalities_that_never_met_are_joined_by_the_samples_of_two_stages(linear, pairs_of_digits):
    method = linear(pairs_of_digits)
    space = Space(method, pairs_of_digits, pairs_of_digits[1])
    assert space.pairs() == [("pixels", "projections", True), ("pixels", "spectrum", True),
                             ("projections", "spectrum", False)]  # fmt: skip
    one, other = space.both("projections", "spectrum")
    assert one.ids.tolist() == other.ids.tolist()
    assert sorted(one.ids) == sorted(pairs_of_digits[1].test.ids)
    rows = {i: n for n, i in enumerate(pairs_of_digits[0].test.ids)}
    expected = clips(method, pairs_of_digits[0].test, "projections").vectors[[rows[i] for i in one.ids]]
    assert torch.equal(one.vectors, expected)


def test_a_pair_of_one_stage_is_that_stage_s_own(linear, pairs_of_digits):
    space = Space(linear(pairs_of_digits), pairs_of_digits, pairs_of_digits[0])
    assert space.modalities == ["pixels", "projections"]
    one, other = space.both("pixels", "projections")
    assert sorted(one.ids) == sorted(pairs_of_digits[0].test.ids) and one.ids.tolist() == other.ids.tolist()


def test_a_sample_that_comes_back_counts_once(linear, pairs_of_digits):
    space = Space(linear(pairs_of_digits), pairs_of_digits, pairs_of_digits[2])
    assert len(space.all("test", "pixels")) == len(pairs_of_digits[0].test)
    trained = space.all("train", "pixels")
    assert len(trained) == pytest.approx(sum(len(stage.train) for stage in pairs_of_digits))
