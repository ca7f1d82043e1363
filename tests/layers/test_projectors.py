import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from polymnia.layers.projectors import PROJECTORS, masked_mean

every_projector = pytest.mark.parametrize("name", PROJECTORS.names())


@every_projector
@pytest.mark.parametrize("shape", [(3, 6), (3, 2, 6)], ids=["vectors", "tokens"])
def test_maps_the_last_dimension_and_each_row_alone(name, shape):
    torch.manual_seed(0)
    projector = PROJECTORS.get(name)(6, 4, hidden=(5,), dropout=0.5).eval()
    values = torch.randn(shape)
    mapped = projector(values)
    assert mapped.shape == (*shape[:-1], 4)
    torch.testing.assert_close(projector(values[1:2]), mapped[1:2])


@every_projector
def test_drops_out_in_training_only(name):
    torch.manual_seed(0)
    projector = PROJECTORS.get(name)(64, 16, hidden=(8,), dropout=0.5)
    values = torch.randn(3, 64)
    assert not torch.equal(projector(values), projector(values))
    projector.eval()
    assert torch.equal(projector(values), projector(values))


def test_mlp_has_the_hidden_widths_and_a_relu_after_each():
    maps = [m for m in PROJECTORS.get("mlp")(6, 4, hidden=(9, 7)).map if isinstance(m, torch.nn.Linear)]
    assert [(m.in_features, m.out_features) for m in maps] == [(6, 9), (9, 7), (7, 4)]
    assert float(PROJECTORS.get("mlp")(6, 4, hidden=(9,))(torch.randn(20, 6)).detach().min()) == 0.0


def test_normalised_evens_out_scales():
    projector, values = PROJECTORS.get("normalised")(6, 4), torch.randn(3, 6)
    torch.testing.assert_close(projector(1000 * values), projector(values), rtol=1e-3, atol=1e-4)


def test_temporal_by_hand():
    projector = PROJECTORS.get("temporal")(2, 2)
    with torch.no_grad():
        projector.map.weight.copy_(torch.eye(2)), projector.map.bias.zero_()
        projector.across.weight.copy_(torch.cat([torch.eye(2), torch.zeros(2, 2), 2 * torch.eye(2)], 1))
        projector.across.bias.zero_()
    values = torch.tensor([[[1.0, 0.0], [0.0, 2.0], [3.0, -1.0]]])
    h = torch.nn.functional.gelu(values[0])
    before, after = torch.stack([torch.zeros(2), h[0], h[1]]), torch.stack([h[1], h[2], torch.zeros(2)])
    wanted = torch.nn.functional.layer_norm(h + torch.nn.functional.gelu(before + 2 * after), (2,))
    torch.testing.assert_close(projector(values)[0], wanted)


def test_temporal_sees_one_step_to_each_side_and_a_vector_is_one_step():
    torch.manual_seed(0)
    projector, values = PROJECTORS.get("temporal")(6, 4), torch.randn(2, 5, 6)
    other = values.clone()
    other[:, 0] += 1
    changed = (projector(other) != projector(values)).any(-1)
    assert changed.tolist() == [[True, True, False, False, False]] * 2
    vectors = values[:, 0]
    assert torch.equal(projector(vectors), projector(vectors[:, None]).squeeze(1))


@given(st.integers(1, 5), st.lists(st.integers(0, 4), min_size=1, max_size=5), st.integers(0, 99))
def test_masked_mean_is_each_rows_mean_over_its_valid_tokens(width, lengths, seed):
    values = torch.randn(len(lengths), 4, width, generator=torch.Generator().manual_seed(seed))
    valid = torch.arange(4) < torch.tensor(lengths)[:, None]
    means = masked_mean(values, valid)
    for row, length in enumerate(lengths):
        wanted = values[row, :length].mean(0) if length else torch.zeros(width)
        torch.testing.assert_close(means[row], wanted)
    torch.testing.assert_close(masked_mean(values, None), masked_mean(values, torch.ones_like(valid)))
    longer = torch.cat([values, torch.full_like(values, 7.0)], 1)
    torch.testing.assert_close(masked_mean(longer, torch.cat([valid, torch.zeros_like(valid)], 1)), means)
