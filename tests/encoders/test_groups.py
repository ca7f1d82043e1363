import torch
from hypothesis import given
from hypothesis import strategies as st

from polymnia.encoders.groups import by_shape


@given(st.lists(st.integers(1, 4), max_size=30), st.integers(1, 5))
def test_each_input_gets_its_own_result_from_batches_of_one_size(lengths, size):
    inputs = [{"x": torch.full((length, 2), float(at)), "y": torch.tensor(at)} for at, length in enumerate(lengths)]
    seen = []

    def run(x, y):
        seen.append(len(x))
        assert len(x) == len(y) and torch.equal(x[:, 0, 0].long(), y)
        return x + 1

    results = by_shape(inputs, run, size=size)
    assert all(torch.equal(result, given["x"] + 1) for result, given in zip(results, inputs, strict=True))
    assert set(seen) <= {size} and len(seen) <= len(lengths)
