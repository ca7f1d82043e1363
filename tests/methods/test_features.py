"""What holds for every method over frozen features: ncm, slda and ranpac."""

from dataclasses import replace

import pytest
import torch

from polymnia.data.batch import Batch
from polymnia.data.stage import Outline
from polymnia.methods.base import METHODS
from polymnia.methods.features import FeatureMethod, padded, unit
from polymnia.methods.joint import union
from polymnia.models.classifier import Classifier
from polymnia.state import split
from polymnia.training.settings import TrainerSettings
from polymnia.training.trainer import Trainer

NAMES = [name for name in METHODS if issubclass(METHODS.get(name), FeatureMethod)]
SETTINGS = {"ranpac": {"features": 40, "ridge": 1.0}}
every = pytest.mark.parametrize("name", NAMES)


def made(name):
    kind = METHODS.get(name)
    return kind(Classifier(Classifier.Settings(width=4)), kind.Settings(**SETTINGS.get(name, {})))


def learned_from(name, stages, batch_size=32):
    trainer = Trainer(made(name), TrainerSettings(epochs=9, batch_size=batch_size, count_flops=False))
    for stage in stages:
        trainer.method.model.grow(stage)
        trainer.fit(stage)
    return trainer.method


def close(one, other):
    """Features are in float32, and the last bit may depend on how many are computed at once."""
    (tensors, rest), (others, other_rest) = split(one), split(other)
    assert rest == other_rest
    for name, tensor in tensors.items():
        torch.testing.assert_close(tensor, others[name], rtol=1e-6, atol=1e-6)


def test_they_are_four():
    assert NAMES == ["ncm", "ranpac", "ranpac-average", "slda"]


@every
def test_the_stream_gives_what_one_pass_over_everything_gives(name, digits_with_gaps):
    """Whatever the order of samples, the cut into batches, and the cut into stages."""
    stages = digits_with_gaps.stages[:3]
    streamed = learned_from(name, stages, batch_size=17)
    whole = union([stage.train for stage in stages])
    at_once = replace(stages[0], train=whole, classes=tuple(whole.targets.unique().tolist()))
    batch = learned_from(name, [at_once], batch_size=len(whole))
    close(streamed.state_dict(), batch.state_dict())
    test = next(iter(batch.batches(union([stage.test for stage in stages]))))
    torch.testing.assert_close(streamed.predict(test).logits, batch.predict(test).logits, rtol=1e-3, atol=1e-3)


@every
def test_each_sample_is_seen_once_and_no_weight_changes(name, digits):
    method = made(name)
    trainer = Trainer(method, TrainerSettings(epochs=5, count_flops=False))
    method.model.grow(digits[0])
    before = {n: p.clone() for n, p in method.model.named_parameters()}
    trainer.fit(digits[0])
    assert int(method.counts.sum()) == len(digits[0].train) == trainer.position.samples_done
    assert trainer.position.stepped == 0
    assert all(torch.equal(p, before[n]) for n, p in method.model.named_parameters())
    assert method.memory_bytes() >= method.sums.numel() * 8


@every
def test_samples_without_a_label_are_not_counted(name, digits):
    stage = digits[0]
    targets = stage.train.targets.clone()
    targets[::3] = -1
    some = replace(stage, train=replace(stage.train, targets=targets))
    labelled = replace(stage, train=stage.train.subset((targets >= 0).nonzero().flatten()))
    close(learned_from(name, [some]).state_dict(), learned_from(name, [labelled]).state_dict())


@every
def test_predicts_before_it_has_seen_anything(name, digits):
    method = made(name)
    method.model.grow(digits[0])
    output = method.predict(digits[0].test.batch(torch.arange(3)))
    assert output.logits.shape == (3, 2)
    assert bool(output.logits.isfinite().all())


@every
def test_a_class_without_samples_is_never_chosen(name, digits):
    method = learned_from(name, digits.stages[:1])
    method.model.grow(digits[1])  # two more classes, and not a sample of them yet
    output = method.predict(digits[1].test.batch(torch.arange(20)))
    assert output.logits.shape == (20, 4)
    assert set(output.logits.argmax(1).tolist()) <= {0, 1}


@every
def test_good_with_every_subset_of_modalities(name, digits):
    """A missing modality takes no part, where zeros in its place would."""
    method = learned_from(name, digits.stages[:3])
    for modality, least in (("pixels", 0.85), ("projections", 0.8), ("spectrum", 0.75)):
        right = total = 0
        for stage in digits.stages[:3]:
            for batch in method.batches(stage.test.only([modality])):
                right += int((method.predict(batch).logits.argmax(1) == batch.targets).sum())
                total += len(batch)
        assert right / total > least


def test_slots_are_given_in_order_of_arrival_and_stay():
    method = made("ncm")
    first = Outline(index=0, name="0", modalities=("c", "b"), classes=(0,), widths={"b": 2, "c": 3})
    second = Outline(index=1, name="1", modalities=("a", "c"), classes=(0,), widths={"a": 4, "c": 3})
    method.before_stage(first)
    method.before_stage(second)
    assert method.slots == {"b": [0, 2], "c": [2, 5], "a": [5, 9]}
    batch = Batch({"a": torch.ones(1, 1, 4), "c": torch.tensor([[[3.0, 0.0, 4.0]]])}, torch.tensor([0]))
    assert method.features(batch)[0].tolist() == pytest.approx([0, 0, 0.6, 0, 0.8, 0.5, 0.5, 0.5, 0.5])


def test_unit_is_the_masked_mean_at_length_one_and_zero_where_missing():
    values = torch.tensor([[[3.0, 0.0], [0.0, 4.0]], [[3.0, 4.0], [9.0, 9.0]], [[1.0, 1.0], [1.0, 1.0]]])
    valid = torch.tensor([[True, True], [True, False], [True, True]])
    batch = Batch({"x": values}, torch.zeros(3).long(), {"x": valid}, {"x": torch.tensor([True, True, False])})
    torch.testing.assert_close(unit(batch, "x"), torch.tensor([[0.6, 0.8], [0.6, 0.8], [0.0, 0.0]]))


def test_padded_never_cuts():
    values = torch.ones(2, 3)
    assert padded(values, 1, 2) is values
    assert padded(torch.zeros(0, 0), 2, 1).shape == (2, 1)
