"""COMET's rivals in a shared space: what the paper of each promises."""

from dataclasses import replace

import pytest
import torch

from polymnia.layers.objectives.info_nce import InfoNCE
from polymnia.methods.base import METHODS
from polymnia.models.shared_space import SharedSpace
from polymnia.randomness import Randomness
from polymnia.training.checkpoint import digest
from polymnia.training.settings import TrainerSettings
from polymnia.training.trainer import Trainer

MEDIATOR, FIRST, SECOND = "pixels", "projections", "spectrum"
QUICK = TrainerSettings(epochs=2, batch_size=24, lr=0.005, accelerator="cpu", count_flops=False)


@pytest.fixture(scope="module")
def stages(digits):
    """Return stages of pairs of sensors of real digits, the mediator with another one each, and one of all three."""

    def pairs(index, *news):
        source, names = digits.stages[index], tuple(sorted((MEDIATOR, *news)))
        parts = {
            side: getattr(source, side).only(names).subset(torch.arange(30)) for side in ("train", "valid", "test")
        }
        return replace(source, index=index, name=str(index), task="pairing", modalities=names,
                       widths={m: source.widths[m] for m in names}, **parts)  # fmt: skip

    return [pairs(0, FIRST), pairs(1, SECOND), pairs(2, FIRST, SECOND)]


def learned(name, stages, watch=lambda method: None, **parts):
    """Return a method after the stages, and what `watch` says of it after each."""
    kind = METHODS.get(name)
    model = SharedSpace(SharedSpace.Settings(**{"width": 16, "mediator": MEDIATOR, **kind.parts, **parts}), seed=3)
    trainer, seen = Trainer(kind(model, randomness=Randomness(3)), QUICK), []
    for stage in stages:
        model.grow(stage)
        trainer.fit(stage)
        seen.append(watch(trainer.method))
    return trainer.method, seen


def vectors(method, stage):
    (batch,) = method.batches(stage.test)
    return method.predict(batch).representations


def test_frozen_text_s_mediator_is_the_same_to_the_last_bit_from_the_first_stage_on(stages):
    parts = {"codebook": {"name": "multimodal-ema", "codes": 8}}
    method, seen = learned("frozen-text", stages[:2], lambda m: digest(vectors(m, stages[0])), **parts)
    assert seen[0] == seen[1], "nor does the modality of the first stage move"
    untrained = SharedSpace(method.model.settings, seed=3)
    untrained.grow(stages[0])
    (batch,) = method.batches(stages[0].test)
    assert not torch.equal(untrained.predict(batch).representations[MEDIATOR], vectors(method, stages[0])[MEDIATOR])
    assert not any(MEDIATOR in name for name in method.model.trainable() if "pairing" not in name)


def test_one_encoder_s_projection_is_frozen_after_the_first_stage(stages):
    projection = lambda m: digest({k: v for k, v in m.model.state_dict().items() if "adapter.projection" in k})  # noqa: E731
    method, seen = learned("one-encoder", stages[:2], projection)
    assert seen[0] == seen[1]
    assert {name.split(".")[1] for name in method.model.trainable() if "adapter" in name} == {"tokens"}
    trained = {name.split(".")[-1] for name in method.model.trainable() if "adapter.tokens" in name}
    trained |= {name.split(".")[1] for name in method.model.trainable() if name.startswith("projectors")}
    assert trained == {SECOND}, "the new modality's token and alignment layer, and nothing else"
    assert method.model.adapter.tokens[SECOND].any()


def test_image_bind_s_space_is_that_of_the_mediator_s_encoder(stages):
    method, seen = learned("image-bind", stages[:2], lambda m: digest(vectors(m, stages[0])))
    (batch,) = method.batches(stages[1].test)
    assert torch.equal(vectors(method, stages[1])[MEDIATOR], batch.values[MEDIATOR].mean(1))
    assert method.model.width == stages[0].widths[MEDIATOR] and seen[0] == seen[1]
    assert all(SECOND in name for name in method.model.trainable())


def test_symile_is_no_pairwise_contrast_where_three_are_together(stages):
    method, _ = learned("symile", stages[:1])
    method.model.grow(stages[2])
    (batch,) = method.batches(stages[2].train)
    output = method.model.predict(batch)
    z = output.blocks[0]
    rows = {m: torch.ones(len(batch), dtype=torch.bool) for m in z}
    objective, pairwise = method.model.pairing.objective, InfoNCE(16, 1)
    assert not torch.isclose(objective(z, rows), pairwise(z, rows))
    two = {m: z[m] for m in (MEDIATOR, FIRST)}
    torch.testing.assert_close(objective(two, rows), objective.between(MEDIATOR, two[MEDIATOR], FIRST, two[FIRST]))
    torch.testing.assert_close(method.model.losses(output)["contrast"], objective(z, rows))
    swapped = {**z, SECOND: z[SECOND].roll(1, 0)}  # one of three does not belong: the product tells
    assert objective(swapped, rows) != objective(z, rows)
