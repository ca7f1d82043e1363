from types import SimpleNamespace

import pytest
import torch
from torch.func import grad, vmap
from torch.nn.functional import gelu, linear

from polymnia.layers import experts
from polymnia.layers.experts import Routes, grouped_linear

sizes = pytest.mark.parametrize(
    ("rows", "count", "choices"), [(3, 4, 2), (300, 4, 2), (150, 7, 3), (5, 64, 2), (9, 3, 3), (4, 1, 1), (500, 2, 1)]
)


@pytest.fixture
def made():
    """Return a function that makes rows, choices and the weights of experts, in double precision."""

    def make(rows, count, choices, *, d=5, r=3, length=None):
        random = torch.Generator().manual_seed(rows + count)

        def draw(*shape):
            return torch.randn(*shape, generator=random, dtype=torch.float64, requires_grad=True)

        x = draw(rows, d) if length is None else draw(rows, length, d)
        top, chosen = draw(rows, count).detach().topk(choices, 1)
        return SimpleNamespace(
            x=x, chosen=chosen, weights=top.softmax(1).requires_grad_(), experts=count,
            down=[draw(r, d) for _ in range(count)], up=[draw(d, r) for _ in range(count)],
            bias=[draw(d) for _ in range(count)],
        )  # fmt: skip

    return make


def mixed(m, x=None, weights=None, chosen=None, down=None):
    """Return the mixture of m's experts by dispatch."""
    x, weights = m.x if x is None else x, m.weights if weights is None else weights
    routes = Routes(
        m.chosen if chosen is None else chosen, weights, m.experts, length=x.shape[1] if x.dim() == 3 else 1
    )
    hidden = gelu(routes.enter(x, m.down if down is None else down))
    out = routes.leave(hidden * routes.weights.view(-1, *[1] * (x.dim() - 1)), m.up)
    bias = routes.bias(m.bias)
    return out + (bias if x.dim() == 2 else bias[:, None])


def one_by_one(m):
    """Return the same, row by row and expert by expert."""
    out = []
    for x, chosen, weights in zip(m.x, m.chosen.tolist(), m.weights, strict=True):
        parts = [
            w * linear(gelu(linear(x, m.down[e])), m.up[e], m.bias[e]) for e, w in zip(chosen, weights, strict=True)
        ]
        out.append(torch.stack(parts).sum(0))
    return torch.stack(out)


@sizes
@pytest.mark.parametrize("length", [None, 3])
def test_dispatch_is_the_weighted_sum_over_chosen_experts_and_so_are_its_gradients(made, rows, count, choices, length):
    m = made(rows, count, choices, length=length)
    leaves = [m.x, m.weights, *m.down, *m.up, *m.bias]
    ours, wanted = mixed(m), one_by_one(m)
    torch.testing.assert_close(ours, wanted)
    toward = torch.randn_like(wanted)
    ours = torch.autograd.grad(ours, leaves, toward)
    wanted = torch.autograd.grad(wanted, leaves, toward, allow_unused=True, materialize_grads=True)
    torch.testing.assert_close(ours, wanted)


def test_small_and_large_sizes_go_different_ways_and_agree(made, monkeypatch):
    m = made(40, 4, 2)
    assert Routes(m.chosen, m.weights, 4).whole
    whole = mixed(m)
    monkeypatch.setattr(experts, "FEW", 0)
    assert not Routes(m.chosen, m.weights, 4).whole
    torch.testing.assert_close(mixed(m), whole)


@pytest.mark.parametrize("few", [0, 10**9])
def test_maps_inside_the_bottleneck_are_each_places_own(made, monkeypatch, few):
    monkeypatch.setattr(experts, "FEW", few)
    m = made(30, 4, 2)
    across = [torch.randn(3, 3, dtype=torch.float64) for _ in range(4)]
    routes = Routes(m.chosen, m.weights, 4)
    through = routes.leave(routes.inside(routes.enter(m.x, m.down), across) * routes.weights[:, None], m.up)
    wanted = mixed_linear(m, [a @ d for a, d in zip(across, m.down, strict=True)])
    torch.testing.assert_close(through, wanted)


def mixed_linear(m, down):
    rows = [
        sum(w * (m.up[e] @ down[e] @ x) for e, w in zip(chosen, weights, strict=True))
        for x, chosen, weights in zip(m.x, m.chosen.tolist(), m.weights, strict=True)
    ]
    return torch.stack(rows)


def test_an_expert_without_rows_gets_a_gradient_of_zero_and_a_frozen_one_none():
    weights = [torch.randn(2, 3, requires_grad=e != 1) for e in range(3)]
    grouped_linear(torch.randn(4, 3), [3, 1, 0], weights).sum().backward()
    assert weights[0].grad is not None and weights[0].grad.abs().sum() > 0
    assert weights[1].grad is None
    assert torch.equal(weights[2].grad, torch.zeros(2, 3))


def test_gradients_by_finite_differences():
    weights = [torch.randn(2, 3, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    values = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v, *w: grouped_linear(v, [2, 0, 3], w), (values, *weights))


def test_gradients_for_each_sample_by_vmap(made):
    m = made(300, 4, 2)
    down = torch.stack([d.detach() for d in m.down])

    def loss(down, x, chosen, weights):
        return mixed(m, x[None], weights[None], chosen[None], list(down.unbind())).square().sum()

    found = vmap(grad(loss), in_dims=(None, 0, 0, 0))(down, m.x.detach(), m.chosen, m.weights.detach())
    whole = torch.autograd.grad(mixed(m).square().sum(), m.down)
    torch.testing.assert_close(found.sum(0), torch.stack(whole))


def test_in_lower_precision_results_and_gradients_are_near():
    values, weights = (
        torch.randn(300, 16, requires_grad=True),
        [torch.randn(8, 16, requires_grad=True) for _ in range(3)],
    )
    exact = grouped_linear(values, [100, 150, 50], weights)
    with torch.autocast("cpu", torch.bfloat16):
        found = grouped_linear(values, [100, 150, 50], weights)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), exact, rtol=0.05, atol=0.2)
    found.float().sum().backward()
    assert all(w.grad is not None and w.grad.dtype == torch.float32 for w in weights)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_torchs_kernel_on_a_gpu_agrees():
    values = torch.randn(300, 64, device="cuda", dtype=torch.bfloat16, requires_grad=True)
    weights = [torch.randn(32, 64, device="cuda", dtype=torch.bfloat16, requires_grad=True) for _ in range(3)]
    assert experts._has_kernel(values, weights[0])
    found = grouped_linear(values, [100, 150, 50], weights)
    wanted = torch.cat([v @ w.T for v, w in zip(values.split([100, 150, 50]), weights, strict=True)])
    torch.testing.assert_close(found, wanted, rtol=0.02, atol=0.2)
    torch.testing.assert_close(
        torch.autograd.grad(found.float().sum(), weights),
        torch.autograd.grad(wanted.float().sum(), weights),
        rtol=0.02,
        atol=0.5,
    )
