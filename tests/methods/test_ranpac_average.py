import pytest
import torch
from torch.nn.functional import one_hot

from polymnia.errors import SettingsError
from polymnia.methods.ranpac import RIDGES, RanPAC
from polymnia.methods.ranpac_average import RanPACAverage
from polymnia.models.classifier import Classifier
from polymnia.randomness import Randomness
from polymnia.state import join, split
from polymnia.training.settings import TrainerSettings
from polymnia.training.trainer import Trainer


def made(stages, kind=RanPACAverage, **settings):
    method = kind(Classifier(Classifier.Settings(width=4)), kind.Settings(**settings), randomness=Randomness(0))
    trainer = Trainer(method, TrainerSettings(count_flops=False))
    for stage in stages:
        method.model.grow(stage)
        trainer.fit(stage)
    return method


def of_modality(method, stages, modality):
    """Return features and targets of all training samples that have the modality."""
    start, end = method.slots[modality]
    parts = [batch for stage in stages for batch in method.batches(stage.train)]
    h = torch.cat([method.features(batch)[batch.has(modality)][:, start:end] for batch in parts]).double()
    return h, torch.cat([batch.targets[batch.has(modality)] for batch in parts])


def test_is_the_mean_of_each_modalitys_ridge_regression_over_all_stages(digits_with_gaps):
    stages = digits_with_gaps.stages[:2]
    method = made(stages, features=50, ridge=0.5)
    test = stages[1].test.batch(torch.arange(60))
    total, there = torch.zeros(60, 4), torch.zeros(60, 1)
    for modality, (start, end) in method.slots.items():
        h, targets = of_modality(method, stages, modality)
        weight = torch.linalg.solve(h.T @ h + 0.5 * torch.eye(50).double(), h.T @ one_hot(targets, 4).double())
        has = test.has(modality)[:, None].float()
        total += has * (method.features(test)[:, start:end].double() @ weight).float()
        there += has
    assert set(there.flatten().tolist()) == {1.0, 2.0, 3.0}
    torch.testing.assert_close(method.predict(test).logits, total / there, rtol=1e-3, atol=1e-3)


def test_one_modality_alone_is_scored_as_ranpac_scores_it(digits):
    ours, plain = (made(digits.stages[:2], kind, features=50, ridge=0.5) for kind in (RanPACAverage, RanPAC))
    test = digits[0].test.only(["spectrum"]).batch(torch.arange(20))
    torch.testing.assert_close(ours.predict(test).logits, plain.predict(test).logits, rtol=1e-4, atol=1e-4)
    whole = digits[0].test.batch(torch.arange(20))
    assert not torch.allclose(ours.predict(whole).logits, plain.predict(whole).logits, atol=1e-3)


def test_each_modality_has_the_ridge_of_its_own_least_error(digits_with_gaps):
    stage = digits_with_gaps[0]
    method = made([stage], features=50)
    n = len(stage.train)
    out = torch.randperm(n, generator=method.randomness.fresh("held out", 0))[: n // 5]
    held = torch.zeros(n, dtype=torch.bool)
    held[out] = True
    for modality in method.slots:
        whole = next(method.batches(stage.train, n))
        has, (start, end) = whole.has(modality), method.slots[modality]
        h, y = method.features(whole)[:, start:end].double(), one_hot(whole.targets, 2).double()
        kept, test = has & ~held, has & held
        gram, sums, errors = h[kept].T @ h[kept], h[kept].T @ y[kept], []
        for ridge in RIDGES:
            weight = torch.linalg.solve(gram + ridge * torch.eye(50).double(), sums)
            errors.append(float((h[test] @ weight - y[test]).square().sum()))
        assert method.ridges[modality] == RIDGES[errors.index(min(errors))]


def test_statistics_grow_with_the_modalities_and_not_with_their_square(digits):
    ours, plain = (made(digits.stages[:1], kind, features=50) for kind in (RanPACAverage, RanPAC))
    assert sum(gram.numel() for gram in ours.grams.values()) == 3 * 50**2
    assert plain.gram.numel() == 9 * 50**2
    assert ours.memory_bytes() < plain.memory_bytes() / 2


def test_learns_every_stage(digits, learned):
    _, scores = learned("ranpac-average", digits, features=200)
    assert min(scores) > 0.9


def test_ridges_projections_and_statistics_survive(digits):
    one = made(digits.stages[:1], features=20)
    other = RanPACAverage(one.model, RanPACAverage.Settings(features=20), randomness=Randomness(5))
    other.load_state_dict(join(*split(one.state_dict())))
    assert other.ridges == one.ridges
    test = digits[0].test.batch(torch.arange(9))
    assert torch.equal(other.predict(test).logits, one.predict(test).logits)


def test_too_small_a_ridge_is_said(digits):
    method = made(digits.stages[:1], features=20, ridge=1e-3)
    method.grams["pixels"].neg_()
    method._alone.clear()
    with pytest.raises(SettingsError, match="too small for the features of 'pixels'"):
        method.predict(digits[0].test.batch(torch.arange(2)))
