import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import smooth_l1_loss

from polymnia.losses.relations import RELATIONS, distance, divergence


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_divergence_by_hand():
    p = torch.eye(2)
    student, teacher = (p, torch.ones(2, 2)), (p, torch.eye(2))
    # the student's cosines are equal: 1/2, 1/2; the teacher's are 1 and 0, at T = 0.5 2 and 0
    a = math.exp(2.0) / (math.exp(2.0) + 1.0)
    wanted = a * math.log(a / 0.5) + (1 - a) * math.log((1 - a) / 0.5)
    assert divergence(student, teacher, temperature=0.5).item() == pytest.approx(wanted, rel=1e-5)


def test_distance_by_hand():
    student = torch.tensor([[0.0], [1.0], [3.0]])  # distances 1, 3, 2: mean 2
    teacher = torch.tensor([[0.0], [1.0], [2.0]])  # distances 1, 2, 1: mean 4/3
    given_, wanted = torch.tensor([0.5, 1.5, 1.0]), torch.tensor([0.75, 1.5, 0.75])
    per_pair = smooth_l1_loss(given_, wanted, reduction="sum") / 3
    value = distance((student, student), (teacher, teacher), itself=False)
    torch.testing.assert_close(value, per_pair)
    with_own = distance((student, student), (teacher, teacher))  # three more pairs, of distance 0
    torch.testing.assert_close(with_own * 9, per_pair * 6)


@pytest.mark.parametrize("form", set(RELATIONS.values()))
@pytest.mark.parametrize("itself", [True, False])
def test_nothing_is_lost_between_equals_and_nothing_pulls(form, itself):
    p, q = random(5, 4).requires_grad_(), random(5, 4, seed=1).requires_grad_()
    value = form((p, q), (p.detach().clone(), q.detach().clone()), itself=itself)
    assert abs(value.item()) < 1e-7
    value.backward()
    for given_ in (p, q):
        torch.testing.assert_close(given_.grad, torch.zeros_like(given_), atol=1e-6, rtol=0)


@pytest.mark.parametrize("form", set(RELATIONS.values()))
def test_a_turned_space_has_the_same_relations(form):
    p, q = random(5, 4), random(5, 4, seed=1)
    turn = torch.linalg.qr(random(4, 4, seed=2)).Q
    assert abs(form((p @ turn, q @ turn), (p, q)).item()) < 1e-5
    assert form((p @ turn, q), (p, q)).item() > 1e-3


@pytest.mark.parametrize("form", set(RELATIONS.values()))
def test_samples_that_do_not_count_are_neither_rows_nor_columns(form):
    student, teacher = (random(5, 4), random(5, 4, seed=1)), (random(5, 3, seed=2), random(5, 3, seed=3))
    counts = torch.tensor([True, False, True, True, False])
    value = form(student, teacher, counts=counts)
    torch.testing.assert_close(value, form(*[(p[counts], q[counts]) for p, q in (student, teacher)]))
    far = tuple(torch.where(counts[:, None], part, 1e4) for part in student)
    torch.testing.assert_close(form(far, teacher, counts=counts), value)
    assert form(student, teacher, counts=torch.zeros(5).bool()).item() == 0.0


def test_one_space_leaves_out_a_rows_own_column():
    z, old = random(3, 4), random(3, 4, seed=1)

    def shares(x):
        similar = torch.nn.functional.cosine_similarity(x[:, None], x, dim=2) / 0.1
        return torch.stack([similar[i, [j for j in range(3) if j != i]].log_softmax(0) for i in range(3)])

    given_, wanted = shares(z), shares(old)
    torch.testing.assert_close(
        divergence((z, z), (old, old), itself=False), (wanted.exp() * (wanted - given_)).sum() / 3
    )


@given(st.integers(1, 5), st.integers(0, 30))
def test_never_below_zero_and_always_a_number_with_its_gradient(rows, seed):
    p = random(rows, 3, seed=seed).requires_grad_()
    teacher = (random(rows, 3, seed=seed + 1).requires_grad_(), random(rows, 3, seed=seed + 2))
    for form in set(RELATIONS.values()):
        for student in ((p, random(rows, 3, seed=seed + 3)), (p, p)):
            value = form(student, teacher)
            assert value.item() > -1e-6
            (gradient,) = torch.autograd.grad(value, p)
            assert gradient.isfinite().all()
    assert teacher[0].grad is None
