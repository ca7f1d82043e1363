import pytest

from polymnia.errors import SettingsError
from polymnia.methods.moe_adapters import MoEAdapters
from polymnia.training.settings import TrainerSettings
from polymnia.training.trainer import Trainer

EXPERTS = {"name": "moe", "experts": 4, "bottleneck": 4}


def test_two_experts_a_modality_and_block_are_frozen_after_each_stage(
    adapted, token_batch, token_stage, two_classes_more
):
    method = MoEAdapters(adapted(adapter=EXPERTS))
    trainer = Trainer(method, TrainerSettings(epochs=1, batch_size=8, accelerator="cpu", count_flops=False))
    trainer.fit(token_stage(token_batch(*[0, 1] * 8)))
    for adapter, block in zip(method.model.adapters, method.usage[0], strict=True):
        assert sum(block) == pytest.approx(32.0, rel=1e-5)  # sixteen samples, two modalities
        for part, usage in zip((adapter.parts["a"], adapter.parts["b"]), (block[:4], block[4:]), strict=True):
            most = sorted(sorted(range(4), key=usage.__getitem__)[-2:])
            assert part.frozen.nonzero().flatten().tolist() == most
    method.model.grow(two_classes_more(1))
    trainer.fit(token_stage(token_batch(*[2, 3] * 8, seed=1), 1))
    assert all(int(part.frozen.sum()) >= 3 for adapter in method.model.adapters for part in adapter.parts.values())
    assert len(method.usage) == 2


def test_it_has_no_memory_and_no_teacher(adapted, token_batch, token_stage):
    method = MoEAdapters(adapted(adapter=EXPERTS))
    method.after_stage(token_stage(token_batch(0, 1)))
    assert method.memory_bytes() == 0
    assert method.loss(token_batch(0, 1)).keys() == {"task"}


def test_a_model_without_experts_is_refused_before_training(tiny_model):
    with pytest.raises(SettingsError, match=r"model 'classifier' has none. Take model=adapted with model.adapter=moe"):
        MoEAdapters(tiny_model())
    MoEAdapters(tiny_model(), MoEAdapters.Settings(freeze=False))
