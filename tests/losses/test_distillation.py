import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from polymnia.losses.distillation import bce, kl, mse

numbers = st.floats(-8, 8, width=32)
rows = st.integers(1, 4).flatmap(lambda k: st.lists(st.lists(numbers, min_size=k, max_size=k), min_size=1, max_size=5))


def test_kl_by_hand():
    student, teacher = torch.tensor([[0.0, 0.0]]), torch.tensor([[math.log(9.0), 0.0]])
    p = torch.tensor([3.0, 1.0]) / 4  # softmax of log(9) / 2, 0
    expected = 4 * (p * (p / 0.5).log()).sum()
    assert kl(student, teacher, temperature=2.0).item() == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
def test_kl_has_the_gradient_of_the_papers_cross_entropy(temperature):
    teacher = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    one, other = (torch.linspace(-1, 1, 12).reshape(4, 3).requires_grad_() for _ in range(2))
    kl(one, teacher, temperature=temperature).sum().backward()
    soft = (teacher / temperature).softmax(1)
    (temperature**2 * cross_entropy(other / temperature, soft, reduction="sum")).backward()
    torch.testing.assert_close(one.grad, other.grad)


@given(rows)
def test_nothing_is_lost_between_equals_and_never_below_zero(values):
    logits = torch.tensor(values)
    other = logits.flip(1)
    for loss in (kl, mse):
        assert loss(logits, logits).abs().max() < 1e-5
        assert loss(logits, other).min() > -1e-5
        assert loss(logits, other).shape == (len(logits),)
    assert bool((bce(logits, logits) <= bce(logits + 0.5, logits) + 1e-4).all())  # least where both agree


def test_bce_and_mse_by_hand():
    assert bce(torch.zeros(2, 3), torch.full((2, 3), 4.0)).tolist() == pytest.approx([3 * math.log(2)] * 2)
    assert mse(torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.zeros(2, 2)).tolist() == [2.5, 0.0]


@pytest.mark.parametrize("loss", [kl, bce, mse])
def test_no_gradient_reaches_the_teacher(loss):
    student, teacher = torch.ones(2, 2, requires_grad=True), torch.zeros(2, 2, requires_grad=True)
    loss(student, teacher).sum().backward()
    assert student.grad is not None
    assert teacher.grad is None
