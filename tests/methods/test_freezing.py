import pytest
import torch

from polymnia.methods.cross_modality_adapters import CrossModalityAdapters
from polymnia.methods.finetune import Finetune
from polymnia.methods.freezing import freeze_used, has_experts, used
from polymnia.training.settings import TrainerSettings
from polymnia.training.trainer import Trainer

EXPERTS = {"name": "cross-experts", "experts": 3, "active": 2, "bottleneck": 4, "freeze": 1}


def test_use_is_the_sum_of_weights_over_the_stages_samples(adapted, token_batch, token_stage):
    method = Finetune(adapted(adapter=EXPERTS))
    batch = token_batch(*[0, 1] * 20, lacking=(3, 4))
    usage = used(method, token_stage(batch))
    assert [len(block) for block in usage] == [3, 3]
    for block in usage:
        assert sum(block) == pytest.approx(40.0, rel=1e-5)  # each sample's weights sum to 1
    for entering, adapter, block in zip(method.model.entering(batch), method.model.adapters, usage, strict=True):
        assert adapter.usage(entering).tolist() == pytest.approx(block, rel=1e-4)


def test_counting_changes_nothing(adapted, token_batch, token_stage):
    method = Finetune(adapted(adapter=EXPERTS, dropout=0.5))
    method.model.train()
    state, random = {n: v.clone() for n, v in method.model.state_dict().items()}, torch.get_rng_state()
    used(method, token_stage(token_batch(0, 1, 0)))
    assert method.model.training
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(v, state[n]) for n, v in method.model.state_dict().items())


def test_the_most_used_is_frozen_and_stays_bit_by_bit(adapted, token_batch, token_stage, two_classes_more):
    """Weight decay and momentum would move a weight whose gradient is zero, were it left in the optimiser."""
    method = CrossModalityAdapters(adapted(adapter=EXPERTS, views=True))
    trainer = Trainer(method, TrainerSettings(epochs=3, batch_size=8, lr=0.01, weight_decay=0.1, accelerator="cpu"))
    trainer.fit(token_stage(token_batch(*[0, 1] * 8)))
    most = [max(range(3), key=block.__getitem__) for block in method.usage[0]]
    adapters = method.model.adapters
    assert [adapter.frozen.nonzero().flatten().tolist() for adapter in adapters] == [[e] for e in most]
    before = [{n: p.clone() for n, p in a.named_parameters()} for a in adapters]
    assert any(p.any() for name, p in before[0].items() if f"experts.{most[0]}.up" in name), "it was trained"
    method.model.grow(two_classes_more(1))
    trainer.fit(token_stage(token_batch(*[2, 3] * 8, seed=1), 1))
    for adapter, expert, held in zip(adapters, most, before, strict=True):
        for name, p in adapter.named_parameters():
            if name.startswith(f"experts.{expert}."):
                assert torch.equal(p, held[name])
    assert [int(adapter.frozen.sum()) for adapter in adapters] == [2, 2]
    assert len(method.usage) == 2


def test_with_more_stages_than_experts_one_is_always_free(adapted, token_batch, token_stage, two_classes_more):
    method = CrossModalityAdapters(adapted(adapter=EXPERTS, views=True), CrossModalityAdapters.Settings(memory=4))
    trainer = Trainer(method, TrainerSettings(epochs=1, batch_size=8, lr=0.01, accelerator="cpu", count_flops=False))
    for index in range(5):
        if index:
            method.model.grow(two_classes_more(index))
        assert all(not adapter.frozen.all() for adapter in method.model.adapters)
        trainer.fit(token_stage(token_batch(*[2 * index, 2 * index + 1] * 4, seed=index), index))
    assert all(0 < int(adapter.frozen.sum()) < len(adapter.frozen) for adapter in method.model.adapters)


def test_nothing_is_frozen_where_it_is_not_wanted(adapted, token_batch, token_stage):
    method = CrossModalityAdapters(adapted(adapter=EXPERTS, views=True), CrossModalityAdapters.Settings(freeze=False))
    usage = freeze_used(method, token_stage(token_batch(0, 1)))
    assert all(not adapter.frozen.any() for adapter in method.model.adapters)
    assert [len(block) for block in usage] == [3, 3]


def test_a_model_without_experts_is_left_as_it_is(adapted, tiny_model, token_batch, token_stage):
    for model in (adapted(adapter="bottleneck"), adapted(adapter=None), tiny_model()):
        assert not has_experts(model)
    method = CrossModalityAdapters(adapted(adapter="bottleneck", views=True))
    assert freeze_used(method, token_stage(token_batch(0, 1))) == []
