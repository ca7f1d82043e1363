import pytest
import torch

from polymnia.errors import SettingsError
from polymnia.methods.ewf import EWF
from polymnia.randomness import Randomness
from polymnia.training.settings import TrainerSettings
from polymnia.training.trainer import Trainer

QUICK = TrainerSettings(epochs=2, batch_size=4, lr=0.01, count_flops=False)


def trained(model, stages, **settings) -> EWF:
    method = EWF(model, EWF.Settings(**settings), randomness=Randomness(0))
    trainer = Trainer(method, QUICK)
    for stage in stages:
        model.grow(stage)
        trainer.fit(stage)
    return method


def test_with_nothing_of_the_new_the_shared_weights_are_the_old_ones(speaker, language_stage):
    model = speaker()
    stages = [language_stage(model, i, "captioning", m) for i, m in enumerate(("image", "sound"))]
    method = trained(model, stages[:1], alpha=0.0)
    old = {name: weight.clone() for name, weight in method.old.items()}
    assert any(weight.any() for name, weight in old.items() if "up" in name)  # the first stage is learned as ever
    trainer = Trainer(method, QUICK)
    model.grow(stages[1])
    before = {name: p.clone() for name, p in model.bridges["sound"].named_parameters()}
    trainer.fit(stages[1])
    assert all(torch.equal(model.get_parameter(name), weight) for name, weight in old.items())
    assert not any(torch.equal(p, before[name]) for name, p in model.bridges["sound"].named_parameters())


def test_it_is_fused_at_the_end_of_each_epoch_or_after_so_many_steps(tiny_model, tiny_batch, tiny_stage):
    method = EWF(tiny_model(), EWF.Settings(alpha=0.5))
    method.after_stage(tiny_stage(tiny_batch(0, 1)))
    method.clock.per_epoch = 3
    with torch.no_grad():
        method.model.head.weight.add_(8.0)
    distances = []
    for step in range(6):
        method.clock.step = step
        method.after_step()
        distances.append(float((method.model.head.weight - method.old["head.weight"]).mean().detach()))
    assert distances == pytest.approx([8, 8, 4, 4, 4, 2], abs=1e-5)


@pytest.mark.parametrize(("setting", "value"), [("alpha", 1.5), ("alpha", -0.1), ("every", -1)])
def test_settings_that_cannot_be(setting, value):
    with pytest.raises(SettingsError, match=f"method.{setting}"):
        EWF.Settings(**{setting: value})
