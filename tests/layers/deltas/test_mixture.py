import pytest
import torch

from polymnia.errors import SettingsError
from polymnia.layers.deltas.lora import LoRA
from polymnia.layers.deltas.mixture import Mixture


def made(**settings):
    torch.manual_seed(0)
    delta = Mixture(3, 4, Mixture.Settings(**{"experts": 3, "rank": 6, "alpha": 12.0, **settings}))
    with torch.no_grad():
        for p in delta.parameters():
            p.copy_(torch.randn(p.shape))
    return delta


@pytest.mark.parametrize("active", [None, 1, 2])
def test_experts_are_added_by_the_routers_weights(active):
    delta, given = made(active=active), torch.randn(2, 5, 3)
    weights = delta.weights(given)
    wanted = torch.zeros(2, 5, 4)
    for number, expert in enumerate(delta.experts):
        wanted += weights[..., number, None] * 2.0 * (given @ expert.down.T @ expert.up.T)  # alpha / rank = 2
    torch.testing.assert_close(delta(given), wanted)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 5))
    assert bool(((weights > 0).sum(-1) == (active or 3)).all())


def test_the_weights_are_a_softmax_over_experts_of_each_token_alone():
    delta, given = made(), torch.randn(2, 5, 3)
    torch.testing.assert_close(delta.weights(given), (given @ delta.router.weight.T).softmax(-1))
    torch.testing.assert_close(delta(given)[:, :2], delta(given[:, :2]))


def test_it_is_as_large_as_one_map_but_for_the_router():
    size = sum(p.numel() for p in made().experts.parameters())
    assert size == sum(p.numel() for p in LoRA(3, 4, LoRA.Settings(rank=6)).parameters())


def test_wrong_settings_are_named():
    with pytest.raises(SettingsError, match=r"delta.rank: 8 is given for 3 experts.*take a multiple"):
        Mixture.Settings(experts=3, rank=8)
    with pytest.raises(SettingsError, match=r"delta.active: 5 is given; accepted: 1 to 4, or null"):
        Mixture.Settings(active=5)
