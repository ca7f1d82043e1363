"""Retrieval: against brute force in whole numbers, ties, vectors that say nothing, and memory bounded by chunks."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from polymnia.evaluation.retrieval import ranks, retrieved

whole = st.integers(-3, 3)
pairs = st.tuples(st.integers(1, 12), st.integers(1, 4)).flatmap(
    lambda shape: st.tuples(
        arrays(np.int64, shape, elements=whole),
        arrays(np.int64, shape, elements=whole),
        st.lists(st.sampled_from("abc"), min_size=shape[0], max_size=shape[0]),
    )
)


def cosine(a, b) -> Fraction:
    """Return the sign of a cosine times its square, exactly: it orders as the cosine does."""
    dot, lengths = int(a @ b), int(a @ a) * int(b @ b)
    return Fraction(dot * abs(dot), lengths) if lengths else Fraction(0)


def brute(a, b, keys):
    """Return ranks by comparing every pair in fractions."""
    found = []
    for i, query in enumerate(a):
        right = max(cosine(query, b[j]) for j in range(len(b)) if keys[j] == keys[i])
        found.append(1 + sum(cosine(query, b[j]) >= right for j in range(len(b)) if keys[j] != keys[i]))
    return found


@given(pairs, st.integers(1, 13))
def test_ranks_are_those_of_brute_force_in_chunks_of_any_size(drawn, chunk):
    a, b, keys = drawn
    one, other = torch.tensor(a).float(), torch.tensor(b).float()
    assert ranks(one, other, chunk=chunk).tolist() == brute(a, b, range(len(a)))
    assert ranks(one, other, keys=np.array(keys), chunk=chunk).tolist() == brute(a, b, keys)


@given(st.integers(2, 40), st.integers(0, 2**31 - 1))
def test_ranks_of_real_numbers_are_those_of_numpy(n, seed):
    random = np.random.default_rng(seed)
    a, b = random.normal(size=(n, 8)).astype(np.float32), random.normal(size=(n, 8)).astype(np.float32)
    wide = [side.astype(np.float64) / np.linalg.norm(side.astype(np.float64), axis=1, keepdims=True) for side in (a, b)]
    similar = wide[0] @ wide[1].T
    expected = (similar >= similar.diagonal()[:, None]).sum(1)
    assert ranks(torch.tensor(a), torch.tensor(b), chunk=7).tolist() == expected.tolist()


@given(pairs)
def test_lengths_and_the_order_of_rows_do_not_matter(drawn):
    a, b, _ = drawn
    one, other = torch.tensor(a).float(), torch.tensor(b).float()
    back = torch.arange(len(a)).flip(0)
    assert torch.equal(ranks(one[back], other[back] * 8), ranks(one, other)[back])


@pytest.mark.parametrize("value", [0.0, 1.0, float("nan")])
def test_a_model_that_says_the_same_of_everything_ranks_last(value):
    alike = torch.full((5, 3), value)
    assert ranks(alike, alike).tolist() == [5] * 5
    there, back = retrieved(alike, alike, ks=(1, 4, 5))
    assert there == back and there.recall == {1: 0.0, 4: 0.0, 5: 1.0} and there.median_rank == 5.0


def test_one_caption_of_two_images_is_right_for_both_with_keys():
    images, captions = torch.eye(3), torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    assert ranks(images, captions).tolist() == [2, 2, 1]
    assert ranks(images, captions, keys=np.array(["x", "x", "y"])).tolist() == [1, 1, 1]


def test_both_ways_are_told_apart():
    a, b = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]]), torch.tensor([[1.0, 0.2], [1.0, 0.0], [0.0, 1.0]])
    there, back = retrieved(a, b, ks=(1, 2))
    assert (ranks(a, b).tolist(), ranks(b, a).tolist()) == ([2, 2, 1], [2, 2, 1])
    assert there.recall == {1: 1 / 3, 2: 1.0} and back.median_rank == 2.0 and there.of == 3


def test_nothing_to_retrieve_is_not_a_score():
    there, _ = retrieved(torch.zeros(0, 3), torch.zeros(0, 3))
    assert there.of == 0 and np.isnan(there.recall[1]) and np.isnan(there.median_rank)


def test_sets_that_do_not_belong_together_are_refused():
    with pytest.raises(ValueError, match=r"\(3, 2\).*\(4, 2\)"):
        ranks(torch.zeros(3, 2), torch.zeros(4, 2))
    with pytest.raises(ValueError, match="2 keys for 3 rows"):
        ranks(torch.zeros(3, 2), torch.zeros(3, 2), keys=np.array(["a", "b"]))


def test_memory_is_bounded_by_chunks(monkeypatch):
    held = []
    matmul = torch.Tensor.__matmul__
    monkeypatch.setattr(torch.Tensor, "__matmul__", lambda a, b: held.append(matmul(a, b).shape) or matmul(a, b))
    vectors = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    assert ranks(vectors, vectors, chunk=8).tolist() == [1] * 50
    assert max(rows * columns for rows, columns in held) == 64
