import pytest
import torch

from polymnia.errors import SettingsError
from polymnia.methods.gem import GEM, projected
from polymnia.randomness import Randomness


def test_a_gradient_that_opposes_one_becomes_orthogonal_to_it():
    g, old = torch.tensor([-3.0, 4.0, 1.0]), torch.tensor([[2.0, 0.0, 0.0]])
    torch.testing.assert_close(projected(g, old), torch.tensor([0.0, 4.0, 1.0]), atol=5e-3, rtol=0)
    beyond = projected(g, old, margin=0.5)
    torch.testing.assert_close(beyond, projected(g, old) + 0.5 * old[0])


def test_two_that_are_opposed_leave_what_neither_minds():
    g = torch.tensor([-1.0, -1.0, 1.0])
    old = torch.tensor([[1.0, 0.5, 0.0], [0.5, 1.0, 0.0]])
    turned = projected(g, old)
    torch.testing.assert_close(turned, torch.tensor([0.0, 0.0, 1.0]), atol=5e-3, rtol=0)
    assert torch.equal(projected(-g, old[:1]), -g)  # it opposes none: v is 0


def test_each_stage_is_held_to_its_own_memory(painter, unified_stage, moved):
    method = GEM(painter(), GEM.Settings(memory=4, margin=0.0), randomness=Randomness(0))
    stages = [unified_stage(method.model, i, task) for i, task in enumerate(("answering", "generation", "answering"))]
    for stage in stages[:2]:
        method.model.grow(stage)
        method.after_stage(stage)
    assert [len(memory) for memory in method.memory.held] == [4, 4]
    moved(method.model, 0.3)
    parameters = list(method.model.trainable().values())
    earlier = torch.stack([method.gradient(memory, parameters) for memory in method.memory.held])
    wanted = -2 * earlier[0] + 0.1 * earlier[1]  # opposes the first
    for p, part in zip(parameters, wanted.split([p.numel() for p in parameters]), strict=True):
        p.grad = part.view_as(p).clone()
    method.after_backward()
    turned = torch.cat([p.grad.flatten() for p in parameters])
    assert float(earlier[0] @ wanted) < 0
    assert float((earlier @ turned).min()) > -5e-3 * float(earlier.norm() * wanted.norm())
    assert bool((method.memory.held[1].all().columns["draws"] == 1).all())


def test_settings_that_cannot_be_are_told():
    with pytest.raises(SettingsError, match=r"method\.margin: -1 is given"):
        GEM.Settings(margin=-1)
