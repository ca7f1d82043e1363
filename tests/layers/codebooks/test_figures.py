import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from polymnia.layers.codebooks.figures import perplexity, usage


@given(st.lists(st.integers(0, 9), min_size=1, max_size=60))
def test_bounds_and_order(ids):
    given_ = torch.tensor(ids)
    used = len(set(ids))
    assert usage(given_, 10) == pytest.approx(used / 10)
    assert 1 - 1e-9 <= perplexity(given_, 10) <= used + 1e-9
    assert perplexity(given_.sort().values, 10) == perplexity(given_, 10)


def test_equally_used_codes_say_as_many():
    assert perplexity(torch.arange(7).repeat(3), 20) == pytest.approx(7)
    assert perplexity(torch.zeros(0, dtype=torch.long), 20) == usage(torch.zeros(0, dtype=torch.long), 20) == 0
