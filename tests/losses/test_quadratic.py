import torch
from hypothesis import given
from hypothesis import strategies as st

from polymnia.losses.quadratic import quadratic


def made(sizes, seed):
    random = torch.Generator().manual_seed(seed)
    return [torch.randn(size, generator=random, dtype=torch.float64) for size in sizes]


@given(st.lists(st.sampled_from([(2, 3), (4,), (), (0, 2)]), max_size=4), st.integers(0, 99))
def test_equals_the_formula_and_its_gradient(sizes, seed):
    ours = [p.requires_grad_() for p in made(sizes, seed)]
    plain = [p.detach().clone().requires_grad_() for p in ours]
    weights, anchors = [w.abs() for w in made(sizes, seed + 1)], made(sizes, seed + 2)
    value = quadratic(ours, weights, anchors)
    wanted = sum(((w * (p - a).square()).sum() for p, w, a in zip(plain, weights, anchors, strict=True)),
                 torch.zeros((), dtype=torch.float64)) / 2  # fmt: skip
    torch.testing.assert_close(value.double(), wanted)
    if sizes:
        (3 * value).backward()
        (3 * wanted).backward()
        for mine, other in zip(ours, plain, strict=True):
            torch.testing.assert_close(mine.grad, other.grad)


def test_slices_of_a_parameter_get_the_gradient():
    weight = torch.ones(3, 2, requires_grad=True)
    quadratic([weight[:2]], [torch.full((2, 2), 5.0)], [torch.zeros(2, 2)]).backward()
    assert weight.grad.tolist() == [[5, 5], [5, 5], [0, 0]]
