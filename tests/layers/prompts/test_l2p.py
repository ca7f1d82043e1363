import pytest
import torch

from polymnia.data.stage import Outline
from polymnia.errors import SettingsError
from polymnia.layers.prompts.l2p import L2PPrompts

STAGE = Outline(index=0, name="0", modalities=("x",), classes=(0,), widths={"x": 2})


@pytest.fixture
def hand_made():
    """Three prompts of one token, with keys at 0°, 90° and 180°."""
    prompts = L2PPrompts(L2PPrompts.Settings(pool=3, length=1, top=2, pull=0.5))
    prompts.grow(STAGE, ("x",), blocks=2)
    with torch.no_grad():
        prompts.pools["x"].keys.copy_(torch.tensor([[5.0, 0.0], [0.0, 0.1], [-1.0, 0.0]]))  # lengths do not matter
        prompts.pools["x"].prompts.copy_(torch.tensor([[[0.0, 0.0]], [[1.0, 1.0]], [[2.0, 2.0]]]))
    return prompts


def test_takes_the_nearest_keys_first_and_pulls_them(hand_made):
    query = torch.tensor([[0.8, 0.6], [-0.6, 8.0]])
    placed, losses = hand_made({"x": query})
    assert placed[0]["x"].tolist() == [[[0.0, 0.0], [1.0, 1.0]], [[1.0, 1.0], [2.0, 2.0]]]
    assert placed[1] == {}
    cosines = [(0.8, 0.6), (8 / 64.36**0.5, 0.6 / 64.36**0.5)]
    wanted = 0.5 * sum(2 - sum(pair) for pair in cosines) / 2
    assert float(losses["pull"].detach()) == pytest.approx(wanted, rel=1e-5)


def test_only_the_chosen_keys_are_pulled_and_towards_the_query(hand_made):
    query = torch.tensor([[0.8, 0.6]])
    _, losses = hand_made({"x": query})
    losses["pull"].backward()
    keys = hand_made.pools["x"].keys
    assert keys.grad[2].tolist() == [0.0, 0.0]
    moved = keys.detach() - 0.1 * keys.grad
    cosine = torch.nn.functional.cosine_similarity
    assert bool((cosine(moved, query)[:2] > cosine(keys.detach(), query)[:2]).all())


def test_the_pool_serves_all_stages():
    prompts = L2PPrompts()
    prompts.grow(STAGE, ("x",), blocks=1)
    before = dict(prompts.named_parameters())
    prompts.grow(STAGE, ("x",), blocks=1)
    assert dict(prompts.named_parameters()).keys() == before.keys()
    assert all(p.requires_grad for p in before.values())
    assert before["pools.x.prompts"].shape == (10, 5, 2)


@pytest.mark.parametrize("wrong", [{"top": 0}, {"top": 11}, {"length": 0}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(SettingsError, match=f"prompts.{next(iter(wrong))}"):
        L2PPrompts.Settings(**wrong)
