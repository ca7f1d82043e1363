import pytest
import torch
from torch.nn.functional import normalize

from polymnia.layers.heads import HEADS

every_head = pytest.mark.parametrize("name", HEADS.names())


def made(name, classes, width=5, seed=0):
    torch.manual_seed(seed)
    head = HEADS.get(name)()
    head.grow(classes, width)
    return head


@every_head
def test_growth_leaves_old_rows_and_old_logits_as_they_were(name):
    head, joint = made(name, 3), torch.randn(4, 5)
    before, rows = head(joint), head.weight.detach().clone()
    head.grow(7, 5)
    assert head.classes == 7
    assert torch.equal(head.weight[:3], rows)
    assert head(joint).shape == (4, 7)
    torch.testing.assert_close(head(joint)[:, :3], before, rtol=1e-6, atol=1e-6)


@every_head
def test_growing_to_what_is_there_changes_nothing(name):
    head = made(name, 3)
    before = {key: (value.data_ptr(), value.clone()) for key, value in head.state_dict().items()}
    head.grow(3, 5)
    head.grow(1, 5)
    assert head.classes == 3
    for key, value in head.state_dict().items():
        assert value.data_ptr() == before[key][0]
        assert torch.equal(value, before[key][1])


@every_head
def test_every_row_learns(name):
    head = made(name, 4)
    loss = torch.nn.functional.cross_entropy(head(torch.randn(6, 5)), torch.tensor([0, 1, 2, 3, 0, 1]))
    loss.backward()
    assert bool(head.weight.grad.abs().sum(1).gt(0).all())


def test_linear_by_hand():
    head = made("linear", 2, 2)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[1.0, 2.0], [0.0, -1.0]]))
        head.bias.copy_(torch.tensor([0.5, 0.0]))
    assert head(torch.tensor([[3.0, 1.0]])).tolist() == [[5.5, -1.0]]


def test_cosine_is_the_scaled_cosine_and_size_does_not_matter():
    head, joint = made("cosine", 3), torch.randn(4, 5)
    wanted = 10 * torch.einsum("bd,kd->bk", normalize(joint, dim=1), normalize(head.weight, dim=1))
    torch.testing.assert_close(head(joint), wanted)
    torch.testing.assert_close(head(100 * joint), wanted)
    with torch.no_grad():
        head.weight.mul_(100)
    torch.testing.assert_close(head(joint), wanted)
    assert bool(head(torch.zeros(1, 5)).isfinite().all())  # nothing was observed


def test_prototype_is_minus_the_squared_distance():
    head, joint = made("prototype", 3), torch.randn(4, 5)
    wanted = -(joint[:, None] - head.weight).square().sum(2)
    torch.testing.assert_close(head(joint), wanted, rtol=1e-5, atol=1e-5)
