import math

import pytest
import torch

from polymnia.layers.information import Club


def correlated(r, *, rows=512, d=4, seed=0):
    """Return x and y (rows, d), standard normal, each dimension of one correlated by r with that of the other."""
    random = torch.Generator().manual_seed(seed)
    x, noise = torch.randn(2, rows, d, generator=random)
    return x, r * x + math.sqrt(1 - r * r) * noise


def fitted(r, *, d=4, steps=150):
    torch.manual_seed(0)
    club = Club(d, d, hidden=32)
    adam = torch.optim.Adam(club.parameters(), lr=5e-3)
    for step in range(steps):
        adam.zero_grad()
        club.likelihood(*correlated(r, rows=256, seed=step + 1, d=d)).backward()
        adam.step()
    return club


@pytest.fixture(scope="module")
def estimates():
    """Return r → (true information, exact estimate, estimate by draws), of Gaussians that no q was fitted on."""
    found = {}
    for r in (0.0, 0.5, 0.9):
        club = fitted(r)
        x, y = correlated(r, rows=4096, seed=10_000)
        with torch.no_grad():
            drawn = [club.bound(x, y, seed=seed, clamp=False) for seed in range(8)]
            exact = club.bound(x, y, seed=0, exact=True, clamp=False)
        found[r] = (-4 / 2 * math.log(1 - r * r), float(exact), float(torch.stack(drawn).mean()))
    return found


@pytest.mark.parametrize("form", [1, 2], ids=["exact", "drawn"])
def test_it_is_above_the_information_of_gaussians_and_rises_with_it(estimates, form):
    found = [values[form] for values in estimates.values()]
    for values in estimates.values():
        assert values[form] >= values[0] - 0.05  # 4096 rows say no more
    assert found == sorted(found) and found[-1] > found[0] + 1
    assert abs(found[0]) < 0.1


def test_draws_agree_with_all_pairs(estimates):
    for _, exact, drawn in estimates.values():
        assert drawn == pytest.approx(exact, rel=0.05, abs=0.05)


def pair(rows=6, steps=3, seed=0):
    random = torch.Generator().manual_seed(seed)
    x, y = (torch.randn(rows, steps, d, generator=random).requires_grad_() for d in (4, 3))
    return x, y


def test_likelihood_reaches_q_alone():
    club, (x, y) = Club(4, 3), pair()
    club.likelihood(x, y).backward()
    assert x.grad is None and y.grad is None
    assert all(p.grad is not None and p.grad.any() for p in club.parameters())


@pytest.mark.parametrize("exact", [False, True])
def test_bound_reaches_x_and_y_alone(exact):
    club, (x, y) = Club(4, 3), pair()
    club.bound(x, y, seed=0, exact=exact, clamp=False).backward()
    assert all(p.grad is None for p in club.parameters())
    assert x.grad.any(-1).all() and y.grad.any(-1).all()


def test_both_in_one_backward_are_both_alone():
    club, (x, y) = Club(4, 3), pair()
    (club.likelihood(x, y) + club.bound(x, y, seed=0, clamp=False)).backward()
    together = [p.grad.clone() for p in club.parameters()], x.grad.clone()
    club.zero_grad()
    x.grad = None
    club.likelihood(x, y).backward()
    assert all(torch.equal(p.grad, g) for p, g in zip(club.parameters(), together[0], strict=True))
    club.bound(x, y, seed=0, clamp=False).backward()
    assert torch.equal(x.grad, together[1])


def log_q(club, x, y):
    """Return log q(y | x) of two vectors, with its constant."""
    mean, log_variance = club(x)
    return torch.distributions.Normal(mean, (log_variance / 2).exp()).log_prob(y).sum()


def test_likelihood_by_hand():
    club, (x, y) = Club(4, 3), pair(2, 2)
    wanted = -torch.stack([log_q(club, x[i, t], y[i, t]) for i in range(2) for t in range(2)]).mean()
    torch.testing.assert_close(club.likelihood(x, y), wanted - 3 / 2 * math.log(2 * math.pi))


def test_exact_is_equation_5():
    club, (x, y) = Club(4, 3), pair(5, 2)
    own = torch.stack([log_q(club, x[i, t], y[i, t]) for i in range(5) for t in range(2)]).mean()
    every = [log_q(club, x[i, t], y[j, t]) for i in range(5) for j in range(5) for t in range(2)]
    torch.testing.assert_close(club.bound(x, y, seed=0, exact=True, clamp=False), own - torch.stack(every).mean())


def test_a_draw_compares_every_row_with_one_other_and_all_draws_with_all():
    club, (x, y) = Club(4, 3), pair(4, 2)
    own = torch.stack([log_q(club, x[i, t], y[i, t]) for i in range(4) for t in range(2)]).mean()
    moved = []
    for places in (1, 2, 3):
        other = [log_q(club, x[i, t], y[(i - places) % 4, t]) for i in range(4) for t in range(2)]
        moved.append(own - torch.stack(other).mean())
    drawn = {round(club.bound(x, y, seed=seed, clamp=False).item(), 4) for seed in range(40)}
    assert drawn == {round(value.item(), 4) for value in moved}
    assert torch.equal(club.bound(x, y, seed=3), club.bound(x, y, seed=3))


def test_it_is_clamped_at_zero_unless_asked():
    club, (x, y) = Club(4, 3), pair()
    raw = {seed: club.bound(x, y, seed=seed, clamp=False) for seed in range(20)}
    assert any(value < 0 for value in raw.values())
    for seed, value in raw.items():
        assert torch.equal(club.bound(x, y, seed=seed), value.clamp(min=0))


@pytest.mark.parametrize("rows", [0, 1])
def test_fewer_than_two_rows_say_nothing(rows):
    club, (x, y) = Club(4, 3), pair(rows)
    bound = club.bound(x, y, seed=0)
    bound.backward()
    assert bound == 0 and not x.grad.any() and not y.grad.any()


def test_vectors_and_sequences_of_one_step_agree_and_the_log_variance_is_bounded():
    club, (x, y) = Club(4, 3), pair(6, 1)
    for exact in (True, False):
        one = club.bound(x, y, seed=1, exact=exact, clamp=False)
        torch.testing.assert_close(club.bound(x[:, 0], y[:, 0], seed=1, exact=exact, clamp=False), one)
    assert (club(1000 * x)[1].abs() <= 1).all()
    assert [type(layer).__name__ for layer in club.mean].count("Linear") == 4
