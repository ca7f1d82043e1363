import pytest
import torch
from torch.nn.functional import normalize

from polymnia.losses.pooled import flat, pooled, weighted


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_pooled_by_hand():
    student = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])  # squares: over tokens (1, 1), over width (1, 1)
    teacher = torch.tensor([[[1.0, 1.0], [0.0, 0.0]]])  # over tokens (1, 1), over width (2, 0)
    assert pooled(student, teacher).item() == pytest.approx(2 - 2 / 2**0.5, rel=1e-5)


def test_pooled_lets_move_what_keeps_both_sums():
    crossed, straight = torch.tensor([[[0.0, 1.0], [1.0, 0.0]]]), torch.tensor([[[1.0, 0.0], [0.0, -1.0]]])
    assert pooled(crossed, straight).item() == 0.0


def test_flat_is_two_minus_two_cosines():
    a, b = random(4, 3), random(4, 3, seed=1)
    torch.testing.assert_close(flat(a, b), 2 - 2 * (normalize(a, dim=1) * normalize(b, dim=1)).sum(1))


def test_weighted_by_hand():
    old = torch.tensor([[[1.0, 0.0], [0.0, 2.0]]])  # squares sum to 5
    new = torch.tensor([[[2.0, 0.0], [0.0, -1.0]]])
    assert weighted(new, old, torch.tensor([0.5, 1.5])).item() == pytest.approx((0.5 * 1 + 1.5 * 9) / 5)
    assert weighted(3 * new, 3 * old, torch.tensor([0.5, 1.5])).item() == pytest.approx(14 / 5)


@pytest.mark.parametrize("form", [pooled, lambda a, b, **given: weighted(a, b, torch.rand(4), **given)])
def test_tokens_that_are_not_valid_have_no_influence(form):
    a, b, valid = random(2, 5, 4), random(2, 5, 4, seed=1), torch.tensor([[True] * 3 + [False] * 2] * 2)
    torch.manual_seed(0)
    value = form(a, b, valid=valid)
    torch.manual_seed(0)
    torch.testing.assert_close(form(a[:, :3], b[:, :3]), value)
    torch.manual_seed(0)
    torch.testing.assert_close(form(torch.where(valid[..., None], a, 99.0), b, valid=valid), value)


@pytest.mark.parametrize(
    "form", [pooled, lambda a, b: weighted(a, b, torch.ones(4)), lambda a, b: flat(a.flatten(1), b.flatten(1))]
)
def test_nothing_is_lost_between_equals_and_no_gradient_reaches_the_teacher(form):
    student, teacher = random(3, 2, 4).requires_grad_(), random(3, 2, 4).requires_grad_()
    value = form(student, teacher)
    assert value.shape == (3,)
    assert value.abs().max() < 1e-6
    value.sum().backward()
    assert student.grad.abs().max() < 1e-6
    assert teacher.grad is None
    empty = form(torch.zeros(1, 2, 4), torch.zeros(1, 2, 4))  # a missing value
    assert empty.item() == 0.0
