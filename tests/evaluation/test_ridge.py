"""The linear probe: against the normal equations, and what it does not know."""

import torch

from polymnia.evaluation.ridge import PENALTY, ridge


def drawn(n=40, width=5):
    random = torch.Generator().manual_seed(0)
    return torch.randn(n, width, generator=random), torch.randint(0, 3, (n,), generator=random)


def test_it_solves_the_normal_equations():
    x, targets = drawn()
    probe = ridge(x, targets)
    centred = x.double() - x.double().mean(0)
    indicators = torch.nn.functional.one_hot(targets, 3).double()
    scale = centred.square().mean()
    left = centred.T @ centred + len(x) * PENALTY * scale * torch.eye(5, dtype=torch.float64)
    torch.testing.assert_close(left @ probe.weights, centred.T @ (indicators - indicators.mean(0)))


def test_the_scale_of_vectors_does_not_matter():
    x, targets = drawn()
    held, asked = drawn(30)[0], drawn(30)[1]
    assert ridge(x, targets).accuracy(held, asked) == ridge(1000 * x, targets).accuracy(1000 * held, asked)


def test_fewer_vectors_than_numbers_in_one_and_vectors_that_are_all_alike():
    x, targets = drawn(6, 30)
    assert ridge(x, targets).accuracy(x, targets) == 1.0
    alike = ridge(torch.ones(6, 30), targets)
    assert alike.weights.isfinite().all() and alike.accuracy(torch.ones(6, 30), targets) < 1.0


def test_samples_without_a_class_and_of_other_classes_do_not_count():
    x, targets = drawn()
    more = torch.cat([targets, torch.full((5,), -1)])
    probe = ridge(torch.cat([x, 100 * torch.ones(5, 5)]), more)
    assert torch.equal(probe.weights, ridge(x, targets).weights)
    assert probe.accuracy(x, torch.full((40,), 9)) is None
    assert ridge(x, torch.zeros(40, dtype=torch.int64)) is None
