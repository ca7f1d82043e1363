from dataclasses import replace

import pytest
import torch
from torch.nn.functional import one_hot

from polymnia.errors import SettingsError
from polymnia.methods.ranpac import RIDGES, RanPAC, ridge_rule
from polymnia.models.classifier import Classifier
from polymnia.randomness import Randomness
from polymnia.state import join, split
from polymnia.training.settings import TrainerSettings
from polymnia.training.trainer import Trainer


def made(stages, seed=0, **settings):
    method = RanPAC(Classifier(Classifier.Settings(width=4)), RanPAC.Settings(**settings), randomness=Randomness(seed))
    trainer = Trainer(method, TrainerSettings(count_flops=False))
    for stage in stages:
        method.model.grow(stage)
        trainer.fit(stage)
    return method


def everything(method, stages):
    parts = [batch for stage in stages for batch in method.batches(stage.train)]
    return torch.cat([method.features(b) for b in parts]).double(), torch.cat([b.targets for b in parts])


def test_is_the_ridge_regression_over_all_stages_at_once(digits):
    method = made(digits.stages[:3], features=50, ridge=0.5)
    h, targets = everything(method, digits.stages[:3])
    assert h.shape[1] == 150
    y = one_hot(targets, 6).double()
    stacked = torch.cat([h, 0.5**0.5 * torch.eye(150).double()])  # ridge as least squares with one more row a weight
    weight = torch.linalg.lstsq(stacked, torch.cat([y, torch.zeros(150, 6).double()])).solution
    test = digits[1].test.batch(torch.arange(30))
    wanted = (method.features(test).double() @ weight).float()
    torch.testing.assert_close(method.predict(test).logits, wanted, rtol=1e-3, atol=1e-3)


def test_one_modality_alone_is_scored_by_its_own_ridge_regression(digits):
    method = made(digits.stages[:2], features=50, ridge=0.5)
    h, targets = everything(method, digits.stages[:2])
    start, end = method.slots["spectrum"]
    h = h[:, start:end]
    weight = torch.linalg.solve(h.T @ h + 0.5 * torch.eye(50).double(), h.T @ one_hot(targets, 4).double())
    test = digits[0].test.only(["spectrum"]).batch(torch.arange(10))
    wanted = (method.features(test)[:, start:end].double() @ weight).float()
    torch.testing.assert_close(method.predict(test).logits, wanted, rtol=1e-3, atol=1e-3)


def test_random_features_are_relu_of_a_fixed_projection_from_the_seed(digits):
    one, other, third = (made(digits.stages[:1], seed=seed, features=30) for seed in (0, 0, 1))
    test = digits[0].test.batch(torch.arange(5))
    features = one.features(test)
    assert float(features.min()) == 0.0
    assert torch.equal(features, other.features(test))
    assert not torch.equal(features, third.features(test))
    x = test.values["pixels"][:, 0]
    wanted = (x / x.norm(dim=1, keepdim=True) @ one.projections["pixels"]).relu()
    torch.testing.assert_close(features[:, slice(*one.slots["pixels"])], wanted)
    assert float(one.projections["pixels"].std()) == pytest.approx(1.0, abs=0.05)


def test_ridge_is_that_of_least_error_on_the_held_out_fifth(digits):
    method = made(digits.stages[:2], features=50)
    stage = digits[1]
    n = len(stage.train)
    out = torch.randperm(n, generator=method.randomness.fresh("held out", 1))[: n // 5]
    kept = torch.tensor(sorted(set(range(n)) - set(out.tolist())))
    h, targets = everything(method, [digits[0], replace(stage, train=stage.train.subset(kept))])
    held, answers = everything(method, [replace(stage, train=stage.train.subset(out))])
    y = one_hot(targets, 4).double()
    errors = []
    for ridge in RIDGES:
        weight = torch.linalg.solve(h.T @ h + ridge * torch.eye(150).double(), h.T @ y)
        errors.append(float((held @ weight - one_hot(answers, 4)).square().sum()))
    assert method.ridge == RIDGES[errors.index(min(errors))]
    assert len({round(error, 6) for error in errors}) == len(RIDGES)


def test_a_stage_too_small_to_hold_out_leaves_the_ridge(digits):
    method = made([digits[0], replace(digits[1], train=digits[1].train.subset(torch.arange(4)))], features=20)
    first = made([digits[0]], features=20)
    assert method.ridge == first.ridge


def test_more_features_help_and_every_stage_is_learned(digits, learned):
    _, scores = learned("ranpac", digits, features=200)
    assert min(scores) > 0.93


def test_too_small_a_ridge_is_said(digits):
    gram = -torch.eye(2).double()
    assert ridge_rule(gram, torch.ones(1, 2).double(), 0.5) is None
    method = made(digits.stages[:1], features=20, ridge=1e-3)
    method.gram.neg_()
    method._rules.clear()
    with pytest.raises(SettingsError, match="too small"):
        method.predict(digits[0].test.batch(torch.arange(2)))


@pytest.mark.parametrize(("setting", "value"), [("features", 0), ("ridge", 0.0), ("ridge", -1.0)])
def test_settings_out_of_range_are_refused(setting, value):
    with pytest.raises(SettingsError, match=setting):
        RanPAC.Settings(**{setting: value})


def test_the_chosen_ridge_and_the_projections_survive(digits):
    one = made(digits.stages[:1], features=20)
    one.ridge = 77.0
    other = RanPAC(one.model, RanPAC.Settings(features=20), randomness=Randomness(5))
    other.load_state_dict(join(*split(one.state_dict())))
    assert other.ridge == 77.0
    test = digits[0].test.batch(torch.arange(9))
    assert torch.equal(other.predict(test).logits, one.predict(test).logits)
