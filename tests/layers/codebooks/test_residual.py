import pytest
import torch

from polymnia.errors import SettingsError
from polymnia.layers.codebooks.residual import Residual


def test_a_vector_is_the_sum_of_both_levels_and_that_is_nearer(codebook, group, learn):
    made = codebook("residual", second=8)
    learn(made, batches=60)
    vectors = group(1, rows=200, seed=900)[0]
    one, two = made.levels(vectors)
    found = made.quantise(vectors)
    assert torch.equal(found.vectors, made.codes[one.ids] + made.second.codes[two.ids])
    assert torch.equal(found.ids, one.ids)
    assert int(two.ids.max()) < 8 and len(two.ids.unique()) > 4
    lost, left = (vectors - one.vectors).norm(dim=-1).mean(), (vectors - found.vectors).norm(dim=-1).mean()
    assert float(left) < 0.8 * float(lost)


def test_the_first_level_is_that_of_multimodal_ema(codebook, learn):
    one, other = codebook("residual"), codebook("multimodal-ema")
    for made in (one, other):
        learn(made)
        made.begin(1)
        learn(made, seed=100, shift=3.0)
    assert torch.equal(one.codes, other.codes) and one.sizes == other.sizes


def test_the_second_level_grows_with_the_first_alone(codebook, learn):
    made = codebook("residual", growth="fixed", added=3)
    learn(made)
    made.begin(1)
    learn(made, seed=100, grow=False)
    made.begin(2)
    learn(made, seed=200)
    assert made.sizes == {0: 12, 1: 12, 2: 15} and made.second.sizes == made.sizes
    vectors = torch.randn(50, 6, generator=torch.Generator().manual_seed(0)) * 4
    assert int(made.levels(vectors, first=12)[1].ids.max()) < 12
    assert torch.equal(made.levels(vectors)[1].ids, made.levels(vectors, first=15)[1].ids)


def test_where_the_first_level_lacks_nothing_the_second_does_not_grow_either(codebook, learn):
    made = codebook("residual")
    learn(made)
    made.second.end(made.second.codes)  # whatever is left now is far
    made.begin(1)
    assert made.grow(made.codes) == 0
    assert made.second.sizes == {0: 12, 1: 12}
    assert made.second.grow(torch.randn(9, 6, generator=torch.Generator().manual_seed(0))) > 0


def test_a_wrong_size_is_refused():
    with pytest.raises(SettingsError, match=r"codebook\.second"):
        Residual.Settings(second=0)
