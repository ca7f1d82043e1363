"""The loop: what it computes is what plain PyTorch computes."""

from itertools import pairwise

import pytest
import torch
from torch.nn.functional import cross_entropy

from polymnia.methods.finetune import Finetune
from polymnia.models.classifier import Classifier
from polymnia.randomness import Randomness
from polymnia.training.build import build_stream
from polymnia.training.optimisers import rate
from polymnia.training.run import encoded
from polymnia.training.settings import TrainerSettings, run_settings
from polymnia.training.trainer import Trainer


@pytest.fixture(scope="module")
def stream():
    settings = run_settings({"stream": {"name": "digits", "stages": 3, "modalities": ["pixels"]}})
    return encoded(build_stream(settings.stream, seed=0), settings)


def trained(stream, **changed):
    settings = TrainerSettings(**{"epochs": 1, "batch_size": 64, "lr": 0.1, "optimiser": "sgd", **changed})
    method = Finetune(Classifier(seed=0), randomness=Randomness(0))
    events = []
    trainer = Trainer(method, settings, emit=events.append)
    method.model.grow(stream[0])
    trainer.fit(stream[0])
    return method.model, trainer, events


def weights(model):
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def test_one_epoch_is_one_epoch_of_plain_pytorch(stream):
    model, trainer, _ = trained(stream, momentum=0.9, clip=0.5)
    plain = Classifier(seed=0)
    plain.grow(stream[0])
    optimiser = torch.optim.SGD(plain.parameters(), lr=0.1, momentum=0.9)
    train = stream[0].train
    order = torch.randperm(len(train), generator=Randomness(0).fresh("order", 0, 0))
    for rows in order.split(64):
        batch = train.batch(rows)
        optimiser.zero_grad()
        cross_entropy(plain(batch).logits, batch.targets).backward()
        torch.nn.utils.clip_grad_norm_(plain.parameters(), 0.5)
        optimiser.step()
    assert all(torch.equal(p, weights(model)[name]) for name, p in weights(plain).items())
    assert trainer.position.samples_done == len(train)


def test_parts_of_a_batch_add_up_to_the_batch(stream):
    whole, _, _ = trained(stream)
    parts, _, _ = trained(stream, accumulate=3)
    for name, p in weights(whole).items():
        torch.testing.assert_close(p, weights(parts)[name], rtol=1e-4, atol=1e-6)


def test_schedules_fall_to_zero_and_warm_up():
    for schedule in ("linear", "cosine"):
        settings = TrainerSettings(lr=1.0, schedule=schedule, warmup=3)
        rates = [rate(step, 20, settings) for step in range(21)]
        assert rates[:3] == [pytest.approx(1 / 3), pytest.approx(2 / 3), pytest.approx(1.0)]
        assert rates[20] == pytest.approx(0, abs=1e-9)
        assert all(a >= b for a, b in pairwise(rates[3:]))


def test_the_schedule_reaches_the_optimiser(stream):
    _, trainer, _ = trained(stream, schedule="linear", epochs=2)
    steps = trainer.position.steps_done
    assert trainer.optimiser.param_groups[0]["lr"] == pytest.approx(0.1 / steps)  # of the last step


def test_mixed_precision_learns(stream):
    model, _, _ = trained(stream, precision="bf16-mixed", epochs=3)
    batch = stream[0].train.batch(torch.arange(len(stream[0].train)))
    right = (model.predict(batch).logits.argmax(1) == batch.targets).float().mean()
    assert right > 0.9 and all(p.dtype == torch.float32 for p in model.parameters())


def test_early_stopping_keeps_the_best_weights_of_the_current_stage(stream):
    model, trainer, events = trained(stream, epochs=40, patience=2, lr=0.5)
    scores = [event["score"] for event in events if event["kind"] == "valid"]
    assert len(scores) < 40
    assert max(scores) == trainer.position.best and scores.index(max(scores)) == len(scores) - 1 - 2
    valid = stream[0].valid.batch(torch.arange(len(stream[0].valid)))
    kept = (model.predict(valid).logits.argmax(1) == valid.targets).float().mean()
    assert float(kept) == pytest.approx(max(scores), abs=1e-6)


def test_what_is_frozen_stays(stream):
    class Frozen(Finetune):
        def before_stage(self, stage):
            self.model.projectors.requires_grad_(False)

    method = Frozen(Classifier(seed=0), randomness=Randomness(0))
    trainer = Trainer(method, TrainerSettings(epochs=1))
    method.model.grow(stream[0])
    before = weights(method.model)
    trainer.fit(stream[0])
    changed = {name for name, p in weights(method.model).items() if not torch.equal(p, before[name])}
    assert changed == {"head.weight", "head.bias"}


def test_events_tell_losses_and_rate(stream):
    _, _, events = trained(stream, log_steps=2)
    steps = [event for event in events if event["kind"] == "step"]
    assert [event["step"] for event in steps][:2] == [2, 4]
    assert all(event["samples_per_second"] > 0 and event["losses"]["task"] > 0 for event in steps)
