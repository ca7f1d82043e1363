"""Ragged columns against a plain loop."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from polymnia.data.tokens import Tokens

LENGTHS = st.lists(st.integers(0, 5), min_size=1, max_size=8)


def ragged(lengths: list[int], width: int = 3, shift: float = 0.0) -> tuple[Tokens, list[torch.Tensor]]:
    single = [torch.randn(n, width, generator=torch.Generator().manual_seed(i)) + shift for i, n in enumerate(lengths)]
    length = torch.tensor(lengths)
    return Tokens(torch.cat(single), length.cumsum(0) - length, length), single


def same(column: Tokens, single: list[torch.Tensor]) -> None:
    """A column holds these samples, whichever rows are gathered."""
    assert len(column) == len(single)
    rows = torch.arange(len(single)).flip(0)
    values, valid = column.gather(rows)
    assert values.dtype == torch.float32
    for at, row in enumerate(rows.tolist()):
        length = len(single[row])
        assert torch.equal(values[at, :length], single[row].float())
        if valid is None:
            assert values.shape[1] == length
        else:
            assert valid[at].tolist() == [i < length for i in range(values.shape[1])]
            assert not values[at, length:].any(), "what is not valid is zero"


@given(LENGTHS)
def test_gather_is_the_plain_loop(lengths):
    same(*ragged(lengths))


@given(LENGTHS, st.data())
def test_subset_and_concat_keep_every_sample(lengths, data):
    column, single = ragged(lengths)
    rows = data.draw(st.lists(st.integers(0, len(lengths) - 1), min_size=1, max_size=6))
    part = column.subset(torch.tensor(rows))
    assert part.flat is column.flat, "tokens are shared, not copied"
    same(part, [single[row] for row in rows])
    other, others = ragged(lengths[::-1], shift=10.0)
    same(Tokens.concat([part, other, column]), [single[row] for row in rows] + others + single)
    same(Tokens.concat([part, column]), [single[row] for row in rows] + single)


@given(LENGTHS)
def test_pooling_is_the_mean_and_maximum_of_each_sample(lengths):
    column, single = ragged(lengths)
    mean = torch.stack([s.mean(0) if len(s) else torch.zeros(3) for s in single])
    highest = torch.stack([s.amax(0) if len(s) else torch.zeros(3) for s in single])
    for how, wanted in (("mean", mean), ("mean+max", torch.cat([mean, highest], 1))):
        pooled = column.pooled(how)
        values, valid = pooled.gather(torch.arange(len(single)))
        assert valid is None and values.shape == (len(single), 1, wanted.shape[1])
        torch.testing.assert_close(values[:, 0], wanted)


def test_a_dense_column_needs_no_mask():
    values = torch.arange(24.0).reshape(4, 2, 3)
    column = Tokens.dense(values)
    gathered, valid = column.gather(torch.tensor([3, 0]))
    assert valid is None and torch.equal(gathered, values[[3, 0]]) and column.width == 3


def test_half_precision_is_widened():
    column = Tokens.dense(torch.ones(2, 1, 3, dtype=torch.float16))
    assert column.gather(torch.tensor([1]))[0].dtype == torch.float32


def test_an_empty_column_pools_to_nothing():
    none = Tokens(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64))
    assert len(none.pooled("mean+max")) == 0 and none.pooled("mean+max").width == 6


def test_no_rows_are_gathered_to_nothing():
    values, valid = ragged([2, 1])[0].gather(torch.tensor([], dtype=torch.int64))
    assert values.shape == (0, 1, 3) and (valid is None or valid.shape == (0, 1))


def test_pooling_has_two_ways_only():
    with pytest.raises(ValueError, match=r"mean, mean\+max"):
        ragged([1])[0].pooled("max")
