import pytest
import torch

from polymnia.data.stage import Outline
from polymnia.layers.deltas.stacked import Stacked


@pytest.fixture
def two():
    """Return a delta with two maps of rank 2, of known values."""
    delta = Stacked(3, 4, Stacked.Settings(rank=2, alpha=4.0))
    for index in range(2):
        delta.grow(Outline(index=index, name=str(index)))
    with torch.no_grad():
        for number, p in enumerate(delta.parameters()):
            p.copy_(torch.arange(p.numel()).reshape(p.shape) * 0.1 - 0.2 * number)
    return delta


def test_the_sum_of_all_maps_is_added(two):
    given = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    wanted = sum(2.0 * (low_rank.up @ low_rank.down @ given[..., None])[..., 0] for low_rank in two.low_ranks)
    torch.testing.assert_close(two(given), wanted)


def test_only_the_newest_is_trained(two):
    assert [p.requires_grad for p in two.parameters()] == [False, False, True, True]
    two(torch.randn(1, 2, 3)).sum().backward()
    first, second = two.low_ranks
    assert first.up.grad is None and second.up.grad is not None


def test_overlap_is_the_sum_over_the_products_of_rows(two):
    first, second = (low_rank.down.tolist() for low_rank in two.low_ranks)
    products = [sum(x * y for x, y in zip(a, b, strict=True)) for a in second for b in first]
    assert two.overlap("absolute").item() == pytest.approx(sum(abs(p) for p in products), rel=1e-5)
    assert two.overlap("squares").item() == pytest.approx(sum(p * p for p in products), rel=1e-5)
    two.overlap("squares").backward()
    assert [p.grad is not None for p in two.parameters()] == [False, False, True, False]


def test_orthogonal_maps_do_not_overlap():
    delta = Stacked(4, 4, Stacked.Settings(rank=2))
    delta.grow(Outline(index=0, name="one"))
    assert delta.overlap().item() == 0.0
    delta.grow(Outline(index=1, name="two"))
    with torch.no_grad():
        for low_rank, rows in zip(delta.low_ranks, torch.eye(4).split(2), strict=True):
            low_rank.down.copy_(rows)
    assert delta.overlap().item() == delta.overlap("absolute").item() == 0.0
