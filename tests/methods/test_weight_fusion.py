import pytest
import torch

from polymnia.data.stage import Outline
from polymnia.methods.base import Clock
from polymnia.methods.weight_fusion import due, fuse, fusible


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_a_share_of_the_new_weights_exactly(share):
    old, new = torch.randn(3, 4), torch.randn(3, 4)
    weight = new.clone()
    fuse({"w": weight}, {"w": old}, share=share)
    wanted = {0.0: old, 0.25: 0.75 * old + 0.25 * new, 0.5: (old + new) / 2, 1.0: new}[share]
    assert torch.equal(weight, wanted)


def test_what_is_new_or_has_grown_stays():
    weights = {"new": torch.ones(2), "grown": torch.ones(3)}
    fuse(weights, {"grown": torch.zeros(2)}, share=0.0)
    assert torch.equal(weights["new"], torch.ones(2)) and torch.equal(weights["grown"], torch.ones(3))


def test_bridges_are_untouched(speaker, moved):
    model = speaker()
    model.grow(Outline(index=0, name="0", task="captioning", modalities=("image",), widths={"image": 3}))
    old = model.frozen_copy()
    moved(model)
    bridges = {name: p.clone() for name, p in model.bridges.named_parameters()}
    assert set(fusible(model)) == {name for name in dict(model.named_parameters()) if name.startswith("deltas.")}
    fuse(fusible(model), dict(old.named_parameters()), share=0.0)
    assert all(torch.equal(p, bridges[name]) for name, p in model.bridges.named_parameters())
    assert all(torch.equal(p, q) for p, q in zip(model.deltas.parameters(), old.deltas.parameters(), strict=True))


def test_of_families_without_deltas_all_that_is_trained(tiny_model):
    model = tiny_model()
    model.head.weight.requires_grad_(False)
    assert set(fusible(model)) == set(model.trainable()) and "head.weight" not in fusible(model)


def test_a_host_that_stays_as_it_is_has_nothing_to_fuse(speaker):
    model = speaker(delta=None)
    model.grow(Outline(index=0, name="0", task="captioning", modalities=("image",), widths={"image": 3}))
    assert not fusible(model)


def test_it_is_time_after_so_many_steps_or_at_the_end_of_an_epoch():
    assert [step for step in range(8) if due(Clock(step=step, per_epoch=4), 0)] == [3, 7]
    assert [step for step in range(8) if due(Clock(step=step, per_epoch=4), 3)] == [2, 5]
    assert not due(Clock(step=0), 0)  # outside of training no epoch has a length
