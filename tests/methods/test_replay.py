import pytest
import torch
from torch.nn.functional import cross_entropy

from polymnia.errors import SettingsError
from polymnia.memory.base import MEMORIES
from polymnia.methods.finetune import Finetune
from polymnia.methods.replay import Replay


def test_the_loss_is_the_mean_over_the_rows_of_batch_and_memory(tiny_model, tiny_batch):
    method, old, new = Replay(tiny_model()), tiny_batch(0, 0, 0, seed=1), tiny_batch(1, 1, seed=2)
    method.settings = Replay.Settings(draw=3)
    method.memory.add(old)
    method.clock.epoch = 1  # nothing is added
    rows = [cross_entropy(method.model(part).logits, part.targets, reduction="none") for part in (new, old)]
    assert torch.allclose(method.loss(new)["task"], torch.cat(rows).mean())


def test_a_batch_is_drawn_from_only_after_it_was_trained_on(tiny_model, tiny_batch):
    method, batch = Replay(tiny_model()), tiny_batch(0, 1, 0)
    assert torch.equal(method.loss(batch)["task"], Finetune(method.model).loss(batch)["task"])
    assert len(method.memory) == 3


def test_as_many_are_drawn_as_the_batch_has_or_as_is_set(tiny_model, tiny_batch):
    for settings, wanted in ((Replay.Settings(), 2), (Replay.Settings(draw=5), 5)):
        method = Replay(tiny_model(), settings)
        method.memory.add(tiny_batch(*[0] * 20))
        assert len(method.drawn(tiny_batch(1, 1))) == wanted


def test_samples_enter_in_the_first_epoch_only(tiny_model, tiny_batch):
    method = Replay(tiny_model())
    for epoch in (0, 1, 2):
        method.clock.epoch = epoch
        method.loss(tiny_batch(0, 1))
    assert method.memory.seen == 2


@pytest.mark.parametrize("policy", MEMORIES.names())
def test_every_memory_is_full_of_the_stage_when_it_ends(tiny_model, tiny_batch, tiny_stage, policy):
    method, batch = Replay(tiny_model(), Replay.Settings(memory=4, policy=policy)), tiny_batch(0, 1, 0, 1, 0, 1)
    stage = tiny_stage(batch)
    method.before_stage(stage)
    method.loss(batch)
    method.after_stage(stage)
    assert len(method.memory) == 4
    stored = {tuple(row) for row in batch.values["x"][:, 0].tolist()}
    assert {tuple(row) for row in method.memory.all().values["x"][:, 0].tolist()} <= stored


def test_settings_that_cannot_be_are_named(tiny_model):
    with pytest.raises(SettingsError, match=r"no such memory: 'reservor'. Did you mean 'reservoir'\?"):
        Replay(tiny_model(), Replay.Settings(policy="reservor"))
    with pytest.raises(SettingsError, match=r"method.draw: 0 is given, and at least 1"):
        Replay.Settings(draw=0)
    with pytest.raises(SettingsError, match="a memory of -3 samples"):
        Replay(tiny_model(), Replay.Settings(memory=-3))


@pytest.mark.parametrize("policy", MEMORIES.names())
def test_it_keeps_the_first_stage_where_fine_tuning_loses_it(digits, learned, fine_tuned, policy):
    _, kept = learned("replay", digits, memory=100, policy=policy)
    assert kept[0] > 0.6 + fine_tuned[0]
    assert kept[-1] > 0.9


def test_samples_with_gaps_are_remembered_with_their_gaps(digits_with_gaps, learned):
    method, kept = learned("replay", digits_with_gaps, memory=100)
    held = method.memory.all()
    assert all(0 < held.has(m).sum() < len(held) for m in held.modalities)
    assert torch.stack([held.has(m) for m in held.modalities]).any(0).all()
    assert kept[0] > 0.5
