"""shape-descriptors: each number is what it is said to be, and no draw, order or size changes it."""

import numpy as np
import pytest
import torch

from polymnia.encoders.base import ENCODERS
from polymnia.encoders.shape import cells, distances, extents, profile
from polymnia.errors import DataError, SettingsError

Shape = ENCODERS.get("shape-descriptors")


@pytest.fixture
def cloud():
    return np.random.default_rng(0).normal(size=(600, 3)) * [1.0, 2.0, 0.5]


def test_distances_between_corners_of_a_square():
    found = distances(np.array([[0.5, 0.5, 0], [0.5, -0.5, 0], [-0.5, -0.5, 0], [-0.5, 0.5, 0]]))
    assert np.flatnonzero(found).tolist() == [24, 33], "four sides of 1, two diagonals of 1.41, in bins of 1/24"
    np.testing.assert_allclose(found[[24, 33]] ** 2, [4 / 6, 2 / 6])


def test_a_profile_from_bottom_to_top():
    points = np.array([[1, 0, 0], [0, 3, 0], [0, 0, 1.2], [0, 2, 1.2]])
    found = profile(points).reshape(3, 12)
    np.testing.assert_allclose(found[0] ** 2, [0.5, *[0] * 10, 0.5])
    np.testing.assert_allclose(found[1][[0, 11]], [2, 1])
    np.testing.assert_allclose(found[2][[0, 11]], [3, 2])


def test_cells_of_the_bounding_cube():
    found = cells(np.array([[0, 0, 0], [0, 0, 1.0], [0, 0, 1.0], [1.0, 1.0, 1.0]])) ** 2
    assert found.reshape(5, 5, 5)[0, 0, 0] == pytest.approx(0.25)
    assert found.reshape(5, 5, 5)[0, 0, 4] == pytest.approx(0.5)
    assert found.reshape(5, 5, 5)[4, 4, 4] == pytest.approx(0.25)


def test_extents_know_the_box_and_what_is_upright(cloud):
    pillar = np.random.default_rng(0).normal(size=(4000, 3)) * [0.1, 0.1, 1.0]
    found = extents(pillar)
    np.testing.assert_allclose(found[:3], pillar.max(0) - pillar.min(0))
    np.testing.assert_allclose(found[6:9], [0.1, 0.1, 1.0], rtol=0.05)
    assert found[11] > 0.99, "the longest axis is upright"
    assert len(extents(cloud)) == 20


def test_tokens_are_blocks_whose_mean_is_all_descriptors(cloud):
    (tokens,) = Shape().encode([cloud])
    assert tokens.shape == (4, Shape.width) and tokens.dtype == torch.float32 and bool(tokens.isfinite().all())
    assert ((tokens != 0).sum(0) <= 1).all(), "each number stands in one token"
    points = cloud - cloud.mean(0)
    points = (points / np.linalg.norm(points, axis=1).max())[:, [2, 0, 1]]
    wanted = np.concatenate([part(points) for part in (distances, profile, cells, extents)])
    np.testing.assert_allclose(tokens.mean(0).numpy(), wanted, rtol=1e-5, atol=1e-6)


def test_place_size_and_order_of_points_do_not_count(cloud):
    order = np.random.default_rng(1).permutation(len(cloud))
    results = Shape().encode([cloud, 3 * cloud + [5, -2, 7], cloud[order], np.hstack([cloud, cloud])])
    for other in results[1:]:
        torch.testing.assert_close(other, results[0], rtol=1e-4, atol=1e-5)


def test_turning_about_the_upright_axis_keeps_all_but_cells_and_box(cloud):
    turned = cloud @ np.array([[0.6, 0, 0.8], [0, 1, 0], [-0.8, 0, 0.6]])
    one, other = (tokens.mean(0) for tokens in Shape().encode([cloud, turned]))
    torch.testing.assert_close(one[:84], other[:84], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(one[-14:], other[-14:], rtol=1e-4, atol=1e-4)
    lying = Shape().encode([cloud[:, [1, 0, 2]]])[0].mean(0)
    assert not torch.allclose(one[48:84], lying[48:84], atol=0.05)


def test_up_is_a_setting(cloud):
    z_up = Shape(Shape.Settings(up="z"))
    torch.testing.assert_close(z_up.encode([cloud[:, [2, 0, 1]]])[0], Shape().encode([cloud])[0], rtol=1e-4, atol=1e-5)
    assert z_up.fingerprint != Shape().fingerprint == Shape().fingerprint
    with pytest.raises(SettingsError, match="up: 'w' is given; accepted: x, y, z"):
        Shape(Shape.Settings(up="w"))


@pytest.mark.parametrize(
    ("value", "reason"),
    [(np.zeros((5, 3)), "in one place"), (np.zeros((5, 2)), r"\(N, 3\)"), (np.ones((1, 3)), "2 points")],
)
def test_what_has_no_shape(value, reason):
    with pytest.raises(DataError, match=reason):
        Shape().encode([value])
