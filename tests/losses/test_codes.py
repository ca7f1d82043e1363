from math import exp, log

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from polymnia.losses.codes import code_shares, commitment, matching


def drawn(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


# commitment --------------------------------------------------------------------------------------------------------


def test_commitment_by_hand():
    z = torch.tensor([[[1.0, 2.0]], [[0.0, 0.0]]])
    own, other = torch.zeros(2, 1, 2), torch.tensor([[[1.0, 0.0]], [[0.0, 2.0]]])
    assert float(commitment(z, own)) == 0.25 * 5 / 4
    assert float(commitment(z, own, other, weight=1.0)) == 5 / 4 + 0.5 * 8 / 4


@given(st.integers(0, 50), st.floats(0.01, 10))
def test_the_gradients_of_own_and_other_term_are_exactly_two_to_one(seed, weight):
    z, e = drawn(3, 2, 4, seed=seed), drawn(3, 2, 4, seed=seed + 1)
    away = e - z

    def gradient(own, other):
        leaf = z.clone().requires_grad_()
        commitment(leaf, own, other, weight=weight).backward()
        return leaf.grad

    own = gradient(e, z)  # the other term is at its minimum
    other = gradient(z, e)
    assert torch.equal(own, 2 * other)
    torch.testing.assert_close(own, -weight * 2 * away / z.numel())


def test_no_gradient_reaches_codes():
    z, e, f = (drawn(2, 3, 4, seed=s).requires_grad_() for s in range(3))
    commitment(z, e, f).backward()
    assert z.grad is not None and e.grad is None and f.grad is None


def test_commitment_of_no_rows_and_of_half_precision():
    empty = torch.zeros(0, 2, 3, requires_grad=True)
    commitment(empty, empty, empty).backward()
    assert empty.grad.shape == (0, 2, 3)
    assert commitment(drawn(4, 3).bfloat16(), drawn(4, 3, seed=1)).dtype == torch.float32


# code shares -------------------------------------------------------------------------------------------------------


def test_shares_by_hand():
    codes = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    sequence = torch.tensor([[[0.0, 0.0], [0.0, 4.0]]])
    first = 1 / (1 + exp(-5)), exp(-4) / (exp(-4) + exp(-3))
    p = sum(first) / 2
    torch.testing.assert_close(code_shares(sequence, codes), torch.tensor([[p, 1 - p]]))


@given(st.integers(1, 4), st.integers(1, 5), st.integers(1, 9), st.floats(0.01, 1000), st.integers(0, 20))
def test_shares_are_shares_and_rows_are_alone(rows, steps, count, scale, seed):
    sequence, codes = scale * drawn(rows, steps, 3, seed=seed), scale * drawn(count, 3, seed=seed + 1)
    p = code_shares(sequence, codes)
    assert p.shape == (rows, count) and bool((p >= 0).all())
    torch.testing.assert_close(p.sum(1), torch.ones(rows))
    torch.testing.assert_close(code_shares(sequence[:1], codes), p[:1], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(code_shares(sequence.flip(1), codes), p)


def test_gradients_are_right_and_finite_at_a_code():
    codes = drawn(5, 3, seed=1, dtype=torch.float64)
    sequence = drawn(2, 4, 3, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: code_shares(z, codes), (sequence,))
    for given_ in (codes, torch.zeros(1, 3), torch.ones(4, 3), 1e4 + codes):
        at = given_.clone().float()[:, None].requires_grad_()
        code_shares(at, given_.float())[:, 0].sum().backward()
        assert at.grad.isfinite().all() and float(at.grad.norm(dim=-1).max()) < 3


# matching ----------------------------------------------------------------------------------------------------------


def test_matching_by_hand():
    codes = torch.tensor([[0.0], [2.0], [5.0]], dtype=torch.float64)
    one, other = drawn(3, 2, 1, dtype=torch.float64), 3 * drawn(3, 4, 1, seed=1, dtype=torch.float64)
    p, q = code_shares(one, codes), code_shares(other, codes)
    total = 0.0
    for i in range(3):
        row = [float((p[i] * q[j].log()).sum() + (q[j] * p[i].log()).sum()) for j in range(3)]
        total -= row[i] - log(sum(exp(s) for s in row))
    assert float(matching(one, other, codes)) == pytest.approx(total / 3)


def test_gradients_of_matching():
    codes = drawn(5, 3, seed=2, dtype=torch.float64)
    one, other = (drawn(3, 2, 3, seed=s, dtype=torch.float64).requires_grad_() for s in (0, 1))
    assert torch.autograd.gradcheck(lambda a, b: matching(a, b, codes), (one, other))


def test_shares_that_would_round_to_0_still_have_a_logarithm():
    codes = torch.tensor([[0.0], [1000.0]])
    one = torch.tensor([[[0.0]], [[1000.0]]], requires_grad=True)
    assert float(code_shares(one, codes)[0, 1].detach()) == 0.0
    for other, wanted in ((one.detach(), 0.0), (one.detach().flip(0), 2000.0)):
        loss = matching(one, other, codes)
        assert float(loss.detach()) == pytest.approx(wanted)
        loss.backward()
        assert one.grad.isfinite().all()


@pytest.mark.parametrize("rows", [0, 1])
def test_fewer_than_two_rows_have_nothing_to_tell_apart(rows):
    one, other = (drawn(rows, 2, 3).requires_grad_() for _ in range(2))
    loss = matching(one, other, drawn(4, 3))
    loss.backward()
    assert float(loss.detach()) == 0 and not one.grad.any() and not other.grad.any()


def test_half_precision_and_autocast():
    one, other, codes = drawn(6, 2, 8), drawn(6, 2, 8, seed=1), drawn(10, 8, seed=2)
    wanted = matching(one, other, codes)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(matching(one, other, codes), wanted)
    torch.testing.assert_close(matching(one.bfloat16(), other.bfloat16(), codes), wanted, atol=0.05, rtol=0.05)


@pytest.mark.parametrize("paired", [True, False])
def test_pairs_are_learned_well_below_log_of_the_batch_and_permuted_ones_stay_there(paired):
    """Two modalities show the same 16 concepts, each through a map of its own; a linear map for each learns codes."""
    rows, random = 16, torch.Generator().manual_seed(0)
    concepts, codes = torch.eye(rows), 8 * torch.randn(rows, 6, generator=random)
    shown = [torch.randn(rows, 20, generator=random) for _ in range(2)]
    maps = [nn.Parameter(0.1 * torch.randn(20, 6, generator=random)) for _ in range(2)]
    optimiser, losses = torch.optim.Adam(maps, lr=0.05), []
    for _ in range(200):
        order = torch.randperm(rows, generator=random)
        orders = [order, order if paired else torch.randperm(rows, generator=random)]
        values = [
            concepts[o] @ s + 0.1 * torch.randn(rows, 20, generator=random) for o, s in zip(orders, shown, strict=True)
        ]
        one, other = ((v @ m)[:, None] for v, m in zip(values, maps, strict=True))
        loss = matching(one, other, codes)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    late = sum(losses[-20:]) / 20
    assert late < 0.2 * log(rows) if paired else late == pytest.approx(log(rows), rel=0.1)
