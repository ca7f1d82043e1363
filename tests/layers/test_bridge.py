"""The bridge: maps, pooling over grids of any shape, and what is valid after it."""

import pytest
import torch
from torch.nn.functional import conv2d, gelu, layer_norm

from polymnia.errors import SettingsError
from polymnia.layers.bridge import Bridge, packed


def pooled(values, grid, valid=None, pooling="mean"):
    """Return what pooling makes of one row of tokens of width 1."""
    tokens = torch.tensor(values, dtype=torch.float32).reshape(1, -1, 1)
    bridge = Bridge(1, 2, pooling=pooling, grid=grid)
    mask = torch.ones(tokens.shape[:2], dtype=torch.bool) if valid is None else torch.tensor([valid])
    return bridge.pooled(tokens)[0, :, 0].tolist(), bridge.whole(mask)[0].tolist()


def test_without_pooling_it_is_a_norm_and_two_maps():
    torch.manual_seed(0)
    bridge, tokens = Bridge(3, 5), torch.randn(2, 4, 3)
    valid = torch.tensor([[True] * 4, [True, False, True, False]])
    found, same = bridge(tokens, valid)
    first, _, second = bridge.maps
    wanted = second(gelu(first(layer_norm(tokens, (3,)))))
    torch.testing.assert_close(found, wanted)
    assert torch.equal(same, valid) and found.shape == (2, 4, 5)


def test_the_mean_of_two_by_two():
    assert pooled([1, 2, 3, 4, 5, 6, 7, 8], (2, 4)) == ([3.5, 5.5], [True, True])
    assert pooled([1, 2, 3, 4, 5, 6, 7, 8], (4, 2))[0] == [2.5, 6.5]


def test_cells_beyond_an_odd_edge_are_left_out():
    found, _ = pooled([1, 2, 3, 4, 5, 6, 7, 8, 9], (3, 3))
    assert found == [3.0, 4.5, 7.5, 9.0]
    assert pooled([1, 2, 3], (1, 3))[0] == [1.5, 3.0]


def test_frames_are_pooled_one_by_one():
    assert pooled([1, 2, 3, 4, 10, 20, 30, 40], (2, 2))[0] == [2.5, 25.0]


def test_a_square_is_valid_where_one_of_its_cells_is():
    cells = [True, False, False, False, False, False, False, False]
    assert pooled(range(8), (2, 4), cells)[1] == [True, False]
    assert pooled(range(8), (2, 4), [False] * 7 + [True])[1] == [False, True]
    assert pooled(range(9), (3, 3), [False] * 8 + [True])[1] == [False, False, False, True]


def test_a_convolution_by_hand_with_an_odd_edge():
    torch.manual_seed(0)
    bridge, tokens = Bridge(2, 4, pooling="convolution", grid=(3, 2)), torch.randn(1, 6, 2)
    grid = tokens.reshape(1, 3, 2, 2).permute(0, 3, 1, 2)
    whole = torch.cat([grid, torch.zeros(1, 2, 1, 2)], 2)  # a row of nothing below
    wanted = gelu(conv2d(whole, bridge.squares.weight, bridge.squares.bias, stride=2)).flatten(2).transpose(1, 2)
    torch.testing.assert_close(bridge.pooled(tokens), wanted)
    found, valid = bridge(tokens, torch.ones(1, 6, dtype=torch.bool))
    assert found.shape == (1, 2, 4) and valid.shape == (1, 2)


def test_tokens_that_are_no_grid_are_refused():
    bridge = Bridge(1, 2, pooling="mean", grid=(2, 4))
    with pytest.raises(SettingsError, match=r"model\.grid: 9 tokens are no whole number of grids of 2 × 4"):
        bridge(torch.zeros(1, 9, 1), torch.ones(1, 9, dtype=torch.bool))
    for grid in ((), (4,)):
        with pytest.raises(SettingsError, match="pooling 'mean' needs height and width of the grid"):
            Bridge(1, 2, pooling="mean", grid=grid)


def test_packing_keeps_order_whatever_stands_between():
    tokens = torch.arange(8.0).reshape(2, 4, 1)
    valid = torch.tensor([[True, False, False, True], [False, False, True, False]])
    held, mask = packed(tokens, valid)
    assert held[0, :, 0].tolist() == [0, 3] and held[1, 0] == 6 and mask.tolist() == [[True, True], [True, False]]
    held, mask = packed(tokens, valid, behind=False)
    assert held[0, :, 0].tolist() == [0, 3] and held[1, 1] == 6 and mask.tolist() == [[True, True], [False, True]]
    held, mask = packed(tokens, torch.zeros(2, 4, dtype=torch.bool))
    assert held.shape == (2, 1, 1) and not mask.any()
