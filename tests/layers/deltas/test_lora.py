"""LoRA: what it adds, by hand, and what merging its weights gives."""

import pytest
import torch
from torch import nn

from polymnia.data.stage import Outline
from polymnia.hosts.causal import Causal
from polymnia.layers.deltas.base import DELTAS
from polymnia.layers.deltas.lora import LoRA, LowRank


def learned(part):
    with torch.no_grad():
        for at, p in enumerate(part.parameters()):
            p.copy_(0.3 * torch.randn(p.shape, generator=torch.Generator().manual_seed(at)))
    return part


def test_low_rank_by_hand():
    low = LowRank(2, 3, rank=1, alpha=4)
    with torch.no_grad():
        low.down.copy_(torch.tensor([[1.0, 2.0]]))
        low.up.copy_(torch.tensor([[1.0], [0.0], [-0.5]]))
    found = low(torch.tensor([[3.0, 1.0], [0.0, 1.0]]))  # A x is 5 and 2; alpha / rank is 4
    assert found.tolist() == [[20.0, 0.0, -10.0], [8.0, 0.0, -4.0]]


def test_a_new_one_adds_nothing_and_can_learn():
    low = LowRank(8, 5, rank=2, alpha=32)
    given = torch.randn(3, 4, 8)
    assert low.scale == 16 and torch.equal(low(given), torch.zeros(3, 4, 5))
    assert bool((low.down.abs() <= 8**-0.5).all()) and len(low.down.unique()) == 16
    low(given).sum().backward()
    assert float(low.up.grad.abs().sum()) > 0 and float(low.down.grad.abs().sum()) == 0  # as B is 0


def test_carrying_it_is_the_host_with_merged_weights(tiny_lm):
    host, merged = Causal.load(tiny_lm), Causal.load(tiny_lm)
    deltas = {
        name: learned(LoRA(at.in_features, at.out_features)) for name, at in host.places(("q_proj", "v_proj")).items()
    }
    with torch.no_grad():
        for name, delta in deltas.items():
            low = delta.low_rank
            merged.network.get_submodule(name).weight += low.scale * low.up @ low.down
    ids = torch.tensor([[1, 5, 7, 9]])
    with torch.no_grad():
        bare = host.states(host.embed(ids), ids >= 0)
        with host.carrying(deltas):
            carried = host.states(host.embed(ids), ids >= 0)
        torch.testing.assert_close(carried, merged.states(merged.embed(ids), ids >= 0), atol=1e-5, rtol=1e-4)
    assert float((carried - bare).abs().max()) > 1e-2


def test_dropout_is_for_training_alone():
    delta = learned(LoRA(8, 5, LoRA.Settings(rank=2, dropout=0.5)))
    given = torch.randn(1, 4, 8, generator=torch.Generator().manual_seed(0))
    wanted = delta.low_rank(given)
    assert torch.equal(delta.eval()(given), wanted)
    assert not torch.equal(delta.train()(given), wanted)


def test_one_map_goes_on_through_all_stages():
    delta = DELTAS.get("lora")(8, 5)
    before = [(p, p.clone()) for p in delta.parameters()]
    for index in range(2):
        delta.grow(Outline(index=index, name=str(index), task="captioning", modalities=("image",), widths={"image": 3}))
    after = list(delta.parameters())
    assert all(p is q and torch.equal(p, old) and p.requires_grad for (p, old), q in zip(before, after, strict=True))
    assert delta.losses() == {} and sum(p.numel() for p in after) == 8 * (8 + 5)


@pytest.mark.parametrize("rank", [1, 8])
def test_its_default_is_as_published(rank):
    assert LoRA(4, 4).low_rank.scale == 32 / 8
    assert LoRA(4, 4, LoRA.Settings(rank=rank)).low_rank.down.shape == (rank, 4)
    assert isinstance(LoRA(4, 4), nn.Module)
