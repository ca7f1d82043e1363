"""One suite over every method that can work in a shared space: what it must do whatever it is.

Real digits again: one sensor is the mediator, and each stage brings another one, paired with it.
"""

from dataclasses import replace

import pytest
import torch

from polymnia.data.samples import Samples
from polymnia.data.stage import Stage
from polymnia.methods.base import METHODS, Method
from polymnia.models.shared_space import SharedSpace
from polymnia.randomness import Randomness
from polymnia.training.checkpoint import digest, load_state, save_state
from polymnia.training.settings import TrainerSettings
from polymnia.training.trainer import Trainer

NAMES = [name for name in METHODS if METHODS.get(name).needs <= {"space", "representations"}]
SPACES = [name for name in NAMES if "space" in METHODS.get(name).needs]
WANTED = {"comet", "frozen-text", "image-bind", "one-encoder", "ridge", "symile"}
MEDIATOR, ORDER = "pixels", ("projections", "spectrum")
LEARNS = TrainerSettings(epochs=25, batch_size=24, lr=0.005, clip=1.0, count_flops=False)
QUICK = replace(LEARNS, epochs=2)
every_method = pytest.mark.parametrize("name", NAMES)


class Stop(Exception):
    """Training was stopped on purpose."""


@pytest.fixture(scope="session")
def stages(digits):
    """Return three stages of pairs: another sensor in each, the first one again in the last; clips of its own each."""
    found: list[Stage] = []
    for index, new in enumerate((*ORDER, ORDER[0])):
        source = digits.stages[index]
        names = (MEDIATOR, new)
        parts = {side: samples_of(getattr(source, side), names, 72) for side in ("train", "valid", "test")}
        found.append(
            replace(source, index=index, name=f"{index}", task="pairing", modalities=tuple(sorted(names)),
                    widths={m: source.widths[m] for m in names}, earlier=tuple(found), **parts)
        )  # fmt: skip
    return found


def samples_of(samples: Samples, names: tuple[str, ...], most: int) -> Samples:
    return samples.only(names).subset(torch.arange(min(most, len(samples))))


def learner(name: str, *, settings: dict | None = None, trainer: TrainerSettings = QUICK, seed: int = 3) -> Trainer:
    """Return a trainer over a new model, with the method's own parts, and a new method."""
    kind = METHODS.get(name)
    parts = {"width": 16, "mediator": MEDIATOR, **kind.parts}
    if "codebook" in parts:
        parts["codebook"] = {"name": parts["codebook"], "codes": 12, "idle": 5}
    model = SharedSpace(SharedSpace.Settings(**parts), seed=seed)
    return Trainer(kind(model, kind.Settings(**(settings or {})), randomness=Randomness(seed)), trainer)


def learn(trainer: Trainer, stages: list[Stage], *, first: int = 0, last: int | None = None) -> Trainer:
    for stage in stages[first:last]:
        trainer.method.model.grow(stage)
        trainer.fit(stage)
        assert all(bool(p.isfinite().all()) for p in trainer.method.model.parameters())
    return trainer


def vectors(method: Method, samples: Samples, size: int = 256) -> dict[str, torch.Tensor]:
    """Return modality → (N, D)."""
    found = [method.predict(batch).representations for batch in method.batches(samples, size)]
    return {m: torch.cat([part[m] for part in found]) for m in found[0]}


def recall(method: Method, samples: Samples, k: int = 10) -> float:
    """Return how often the mediator's half is among the k nearest of its partner; ties count against us."""
    found = vectors(method, samples)
    new = next(m for m in found if m != MEDIATOR)
    similar = SharedSpace.similarity(found[new], found[MEDIATOR])
    return float(((similar >= similar.diagonal()[:, None]).sum(1) <= k).float().mean())


def fingerprint(trainer: Trainer) -> tuple[str, str]:
    return digest(trainer.method.model.state_tree()), digest(trainer.method.state_dict())


def test_every_method_of_the_plan_is_there():
    assert set(SPACES) >= WANTED


@every_method
def test_learns_the_first_stage_and_predicts_without_side_effects(name, stages):
    trainer = learn(learner(name, trainer=LEARNS), stages, last=1)
    method, test = trainer.method, stages[0].test
    assert recall(method, stages[0].train) > 3 * 10 / len(stages[0].train)
    assert recall(method, test) > 1.5 * 10 / len(test)
    before, random = fingerprint(trainer), torch.get_rng_state()
    method.model.train()
    found = vectors(method, test)
    assert method.model.training, "a prediction must leave the model's mode as it was"
    assert fingerprint(trainer) == before, "a prediction must not change the state"
    assert bool((torch.get_rng_state() == random).all()), "a prediction must not draw"
    for m, other in vectors(method, test, 7).items():  # nor depend on what else is in the batch
        torch.testing.assert_close(other, found[m], rtol=1e-4, atol=1e-4)


@every_method
def test_is_fine_tuning_when_it_is_off(name, stages):
    off = METHODS.get(name).off
    if off is None or isinstance(off, str):
        assert off and len(off.split()) > 4, "a method that cannot be turned off says why"
        return
    ours = learn(learner(name, settings={**off}), stages, last=2).method
    plain = Trainer(METHODS.get("finetune")(ours.model.blank(), randomness=Randomness(3)), QUICK)
    assert digest(ours.model.state_tree()) == digest(learn(plain, stages, last=2).method.model.state_tree())


@every_method
def test_goes_on_from_a_saved_state_as_if_never_stopped(name, stages, tmp_path):
    whole = learn(learner(name), stages)

    def pause() -> None:
        if trainer.method.clock.stage == 1 and trainer.position.steps_done == 2:
            save_state(tmp_path / "inside", trainer.state_dict(inside=True))
            raise Stop

    trainer = learner(name)
    trainer.pause = pause
    learn(trainer, stages, last=1)
    save_state(tmp_path / "between", trainer.state_dict(inside=False))
    with pytest.raises(Stop):
        learn(trainer, stages, first=1)

    torch.manual_seed(12345)  # what else the process drew must not matter
    between, inside = learner(name), learner(name)
    between.load_state_dict(load_state(tmp_path / "between"), inside=False)
    learn(between, stages, first=1)
    inside.load_state_dict(load_state(tmp_path / "inside"), inside=True)
    inside.fit(stages[1])
    learn(inside, stages, first=2)
    for resumed in (between, inside):
        assert fingerprint(resumed) == fingerprint(whole)
        assert resumed.method.memory_bytes() == whole.method.memory_bytes()


@every_method
def test_the_same_seed_gives_the_same_run_and_another_does_not(name, stages):
    runs = [learn(learner(name, seed=seed), stages, last=2) for seed in (3, 3, 4)]
    assert fingerprint(runs[0]) == fingerprint(runs[1])
    if name != "ridge":  # which draws nothing
        assert fingerprint(runs[0])[0] != fingerprint(runs[2])[0]


@every_method
def test_embeds_each_modality_alone(name, stages):
    method = learn(learner(name), stages, last=2).method
    test = stages[1].test
    both = vectors(method, test)
    for m in test.modalities:
        torch.testing.assert_close(vectors(method, test.only([m]))[m], both[m], rtol=1e-4, atol=1e-4)


@every_method
def test_takes_a_stage_of_one_pair(name, stages):
    single = [replace(stages[0], train=stages[0].train.subset(torch.arange(1))), stages[1]]
    method = learn(learner(name), single).method
    assert all(bool(v.isfinite().all()) for v in vectors(method, stages[1].test).values())


@every_method
def test_takes_a_batch_in_parts(name, stages):
    trainer = learner(name, trainer=replace(QUICK, accumulate=2, clip=1.0))
    method = learn(trainer, stages, last=2).method
    assert all(bool(v.isfinite().all()) for v in vectors(method, stages[1].test).values())
