import torch
from hypothesis import given
from hypothesis import strategies as st

from polymnia.layers.codebooks import nearest as module
from polymnia.layers.codebooks.nearest import nearest, sums


@given(st.integers(1, 40), st.integers(1, 9), st.integers(0, 100))
def test_as_by_hand(rows, count, seed):
    random = torch.Generator().manual_seed(seed)
    vectors, codes = torch.randn(rows, 3, generator=random), torch.randn(count, 3, generator=random)
    apart = (vectors[:, None].double() - codes.double()).norm(dim=2)
    found = nearest(vectors, codes)
    torch.testing.assert_close(found.distances.double(), apart.amin(1), atol=1e-5, rtol=1e-5)
    hit = apart.gather(1, found.ids[:, None])[:, 0]
    torch.testing.assert_close(hit, apart.amin(1), atol=1e-5, rtol=1e-5)
    by_hand = torch.stack([vectors[found.ids == code].sum(0) for code in range(count)])
    torch.testing.assert_close(sums(vectors, found.ids, count), by_hand)


def test_pieces_do_not_matter(monkeypatch):
    random = torch.Generator().manual_seed(0)
    vectors, codes = torch.randn(50, 4, generator=random), torch.randn(7, 4, generator=random)
    whole = nearest(vectors, codes)
    monkeypatch.setattr(module, "PIECE", 20)
    assert torch.equal(nearest(vectors, codes).ids, whole.ids)


def test_a_small_distance_beside_large_vectors_is_exact():
    codes = torch.full((1, 256), 100.0)
    assert float(nearest(codes + 0.125, codes).distances) == 2.0


def test_many_vectors_and_codes_fit():
    vectors = torch.randn(100_000, 8, generator=torch.Generator().manual_seed(0))
    assert len(nearest(vectors, vectors[:400]).ids) == 100_000


def test_of_equally_near_codes_the_oldest_wins():
    assert nearest(torch.zeros(2, 1), torch.tensor([[1.0], [-1.0], [1.0]])).ids.tolist() == [0, 0]
