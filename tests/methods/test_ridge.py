"""`ridge`: its map in closed form, against numpy, and what it refuses."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from polymnia.data.samples import Samples
from polymnia.data.stage import Stage
from polymnia.data.tokens import Tokens
from polymnia.errors import SettingsError
from polymnia.methods.ridge import Ridge, ridge
from polymnia.models.shared_space import SharedSpace
from polymnia.training.settings import TrainerSettings
from polymnia.training.trainer import Trainer

WIDTHS = {"audio": 5, "image": 6, "text": 4}


def stage(index: int, new: str, *, rows: int = 40, without: tuple[int, ...] = ()) -> Stage:
    names, random = (new, "text"), torch.Generator().manual_seed(index)
    has = {m: torch.ones(rows, dtype=torch.bool) for m in names}
    has[new][list(without)] = False
    values = {m: 3.0 + torch.randn(rows, 2, WIDTHS[m], generator=random) for m in names}
    values["text"] = values["text"] + 2.0 * values[new][..., :4]
    samples = Samples(np.array([f"{index}-{i}" for i in range(rows)]), {m: Tokens.dense(v) for m, v in values.items()},
                      has, torch.zeros(rows, dtype=torch.int64))  # fmt: skip
    return Stage(index=index, name=str(index), task="pairing", modalities=names, widths={m: WIDTHS[m] for m in names},
                 train=samples, valid=samples, test=samples)  # fmt: skip


def learned(*stages: Stage, strength: float = 0.1) -> Ridge:
    model = SharedSpace(SharedSpace.Settings(steps=2, objective="info-nce", **Ridge.parts))
    trainer = Trainer(
        Ridge(model, Ridge.Settings(strength=strength)), TrainerSettings(batch_size=16, count_flops=False)
    )
    for each in stages:
        model.grow(each)
        trainer.fit(each)
    return trainer.method


def by_numpy(x: np.ndarray, y: np.ndarray, strength: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the weight and bias that least squares gives for pairs with rows √λ · I added below."""
    wide, tall = x - x.mean(0), y - y.mean(0)
    held = np.sqrt(strength * np.square(wide).sum() / x.shape[1])
    stacked = np.concatenate([wide, held * np.eye(x.shape[1])])
    weight = np.linalg.lstsq(stacked, np.concatenate([tall, np.zeros((x.shape[1], y.shape[1]))]), rcond=None)[0]
    return weight, y.mean(0) - x.mean(0) @ weight


@pytest.mark.parametrize("strength", [1e-6, 0.1, 10.0])
def test_the_map_is_that_of_least_squares(strength):
    first = stage(0, "image", without=(3, 11))
    method = learned(first, strength=strength)
    rows = [i for i in range(40) if i not in (3, 11)]
    x, y = (first.train.batch(torch.tensor(rows)).values[m].flatten(0, 1).double().numpy() for m in ("image", "text"))
    weight, bias = by_numpy(x, y, strength)
    linear = method.model.projectors["image"].map
    np.testing.assert_allclose(linear.weight.detach().numpy(), weight.T, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(linear.bias.detach().numpy(), bias, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(method.model.encode("image", torch.from_numpy(x).float()[:, None]).detach()[:, 0],
                               x @ weight + bias, rtol=1e-4, atol=1e-4)  # fmt: skip


def test_the_scale_of_what_comes_in_does_not_matter():
    random = torch.Generator().manual_seed(0)
    x, y = torch.randn(30, 4, generator=random), torch.randn(30, 3, generator=random)
    torch.testing.assert_close(1000 * ridge(1000 * x, y, strength=0.5), ridge(x, y, strength=0.5))


def test_what_does_not_vary_gives_a_map_of_0():
    assert not ridge(torch.ones(5, 3), torch.randn(5, 2), strength=0.1).any()


def test_each_modality_is_mapped_in_its_own_stage_and_never_again():
    first, again = stage(0, "image"), replace(stage(2, "image"), index=2)
    once, all_stages = learned(first), learned(first, stage(1, "audio"), again)
    for name, weight in once.model.projectors["image"].state_dict().items():
        assert torch.equal(all_stages.model.projectors["image"].state_dict()[name], weight)


def test_a_modality_without_any_pair_has_no_map_to_learn():
    method = learned(stage(0, "image"), stage(1, "audio", rows=4, without=(0, 1, 2, 3)))
    assert all(bool(p.isfinite().all()) for p in method.model.parameters())


def test_the_space_is_the_mediator_s_encoder_and_nothing_is_stepped():
    method = learned(stage(0, "image"))
    (batch,) = method.batches(stage(0, "image").test)
    assert torch.equal(method.predict(batch).representations["text"], batch.values["text"].mean(1))
    assert method.loss(batch) == {}


@pytest.mark.parametrize(
    "wrong", [{"path": "grows"}, {"projector": "temporal"}, {"dropout": 0.5}, {"adapter": "universal"}]
)
def test_a_space_that_is_no_linear_map_is_refused(wrong):
    (name,) = wrong
    model = SharedSpace(SharedSpace.Settings(**{**Ridge.parts, **wrong}))
    with pytest.raises(SettingsError, match=rf"model\.{name}=.* it needs model\.path=given, model\.projector=linear"):
        Ridge(model)


def test_a_strength_of_0_is_refused():
    with pytest.raises(SettingsError, match=r"method\.strength: 0\.0 is given"):
        Ridge.Settings(strength=0.0)
