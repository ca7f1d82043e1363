"""Every method that can work over a model that reads and draws: it learns, resumes, and is fine-tuning when off."""

from dataclasses import replace

import pytest
import torch

from polymnia.methods.base import METHODS
from polymnia.models.unified_model import UnifiedModel
from polymnia.randomness import Randomness
from polymnia.training.checkpoint import digest, load_state, save_state
from polymnia.training.settings import TrainerSettings
from polymnia.training.trainer import Trainer

QUICK = TrainerSettings(epochs=2, batch_size=4, lr=0.02, clip=1.0, accelerator="cpu", count_flops=False)
PLAN = ("answering", "generation", "answering")
SETTINGS = {"combined": {"of": ("replay", "drawing-distillation", {"name": "ewc", "strength": 10.0})}}
NAMES = [name for name in METHODS if METHODS.get(name).needs <= UnifiedModel.provides]
WANTED = {"finetune", "joint", "zero-shot", "ewc", "lwf", "gem", "replay", "o-lora", "moe-lora", "cl-moe", "mode",
          "drawing-distillation", "combined"}  # fmt: skip
every_method = pytest.mark.parametrize("name", NAMES)


class Stop(Exception):
    """Training was stopped on purpose."""


@pytest.fixture
def learner(painter, distilled):
    """Return a function that makes a trainer over a new model, with the method's own parts, and a new method."""

    def made(name, settings=None) -> Trainer:
        kind = METHODS.get(name)
        given = {**SETTINGS.get(name, {})} if settings is None else settings
        fields = UnifiedModel.Settings.__dataclass_fields__
        parts = {key: value for key, value in kind.parts_of(given).items() if key in fields and key != "places"}
        method = kind(painter(seed=3, **parts), kind.Settings(**given), randomness=Randomness(3))
        return Trainer(distilled(method), QUICK)

    return made


@pytest.fixture
def stages(painter, unified_stage):
    """Return three stages: reading, drawing, reading."""
    found = []
    for index, task in enumerate(PLAN):
        found.append(replace(unified_stage(painter(), index, task), earlier=tuple(found)))
    return found


def learn(trainer, stages, first=0, last=None):
    for stage in stages[first:last]:
        trainer.method.model.grow(stage)
        trainer.fit(stage)
        assert all(bool(p.isfinite().all()) for p in trainer.method.model.parameters())
    return trainer


def fingerprint(trainer):
    return digest(trainer.method.model.state_tree()), digest(trainer.method.state_dict())


def loss(method, samples):
    with torch.inference_mode(), method.model.evaluating():
        return float(method.model.task_loss(method.model(samples.batch(torch.arange(len(samples))))))


def test_every_method_of_the_plan_is_there():
    assert set(NAMES) >= WANTED


@every_method
def test_goes_on_from_a_saved_state_as_if_never_stopped(name, stages, learner, tmp_path):
    whole, learns = learner(name), name != "zero-shot"
    whole.method.model.grow(stages[0])
    before = loss(whole.method, stages[0].train)
    whole.fit(stages[0])
    assert (loss(whole.method, stages[0].train) < before) is learns
    learn(whole, stages, first=1)

    def pause() -> None:
        if trainer.method.clock.stage == 2 and trainer.position.steps_done == 2:
            save_state(tmp_path / "inside", trainer.state_dict(inside=True))
            raise Stop

    trainer = learner(name)
    learn(trainer, stages, last=2)
    save_state(tmp_path / "between", trainer.state_dict(inside=False))
    trainer.pause = pause
    if learns:
        with pytest.raises(Stop):
            learn(trainer, stages, first=2)
    torch.manual_seed(12345)  # what else the process drew must not matter
    between = learner(name)
    between.load_state_dict(load_state(tmp_path / "between"), inside=False)
    assert fingerprint(learn(between, stages, first=2)) == fingerprint(whole)
    if learns:
        inside = learner(name)
        inside.load_state_dict(load_state(tmp_path / "inside"), inside=True)
        inside.fit(stages[2])
        assert fingerprint(inside) == fingerprint(whole)
    method, batch = whole.method, stages[2].test.batch(torch.arange(4))
    assert len(method.answer(batch)) == 4 and method.memory_bytes() >= 0
    assert method.model.draw(batch, random=torch.Generator()).shape == (4, 4)


@every_method
def test_is_fine_tuning_when_it_is_off(name, stages, learner):
    off = METHODS.get(name).off
    if isinstance(off, str):
        return
    ours = learn(learner(name, {**off}), stages).method
    plain = Trainer(METHODS.get("finetune")(ours.model.blank(), randomness=Randomness(3)), QUICK)
    assert digest(ours.model.state_tree()) == digest(learn(plain, stages).method.model.state_tree())
