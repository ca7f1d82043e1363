import sys

import numpy as np
import pytest

from polymnia.data.modalities.point_cloud import PointCloud, surface
from polymnia.errors import DataError, MissingExtra


def read(value):
    points = PointCloud().read(value)
    assert points.dtype == np.float32
    assert points.ndim == 2
    return points


def test_files_of_points_and_arrays_read_the_same(npy):
    points = np.arange(12, dtype=np.float32).reshape(3, 4)
    xyz = "\n".join(" ".join(map(str, row)) for row in points.tolist()).encode()
    for value in (points, npy(points), xyz, xyz.replace(b" ", b","), b"x y z i\n" + xyz):
        np.testing.assert_array_equal(read(value), points)


@pytest.mark.parametrize("kind", ["ply", "obj"])
def test_of_a_mesh_points_on_its_surface_are_drawn(cube, kind):
    points = read(cube(kind))
    assert points.shape == (2048, 3)
    np.testing.assert_allclose(np.abs(points).max(1), 0.5, atol=1e-6)  # on a face of the cube
    face = np.abs(points).argmax(1) * 2 + (points[np.arange(2048), np.abs(points).argmax(1)] > 0)
    assert np.bincount(face, minlength=6).min() > 270  # 341 each, spread about 17
    np.testing.assert_array_equal(points, read(cube(kind)))


def test_points_are_spread_by_area():
    vertices = np.array([[0, 0, 0], [3, 0, 0], [0, 1, 0], [0, 0, 9], [1, 0, 9], [0, 1, 9]], dtype=np.float32)
    points = surface(vertices, np.array([[0, 1, 2], [3, 4, 5]]), 8000)
    assert (points[:, 2] == 0).mean() == pytest.approx(0.75, abs=0.02)
    lower = points[points[:, 2] == 0]
    np.testing.assert_allclose(lower.mean(0), [1, 1 / 3, 0], atol=0.03)  # the triangle's centre of mass


def test_a_mesh_without_faces_gives_its_vertices():
    pytest.importorskip("trimesh")
    np.testing.assert_array_equal(read(b"v 0 0 0\nv 1 0 0\nv 0 1 0\n"), [[0, 0, 0], [1, 0, 0], [0, 1, 0]])


def test_every_object_of_a_file_is_drawn_from():
    pytest.importorskip("trimesh")
    one = "o a\nv 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"
    two = "o b\nusemtl red\nv 0 0 5\nv 1 0 5\nv 0 1 5\nf 4 5 6\n"
    points = read((one + two).encode())
    assert (points[:, 2] == 0).mean() == pytest.approx(0.5, abs=0.05)
    assert set(np.unique(points[:, 2]).tolist()) == {0.0, 5.0}


def test_without_trimesh_the_extra_is_named(cube, monkeypatch):
    data = cube("ply")
    monkeypatch.setitem(sys.modules, "trimesh", None)
    with pytest.raises(MissingExtra, match="trimesh"):
        read(data)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"1 2\n3 4\n", "2 columns"),
        (b"1 2 3\n4 5 nan\n", "NaN"),
        (b"ply\nformat ascii 1.0\nelement vertex 9\n", "PLY"),
        (b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n", "OBJ"),
        (b"v 0 0 0\nv 0 0 0\nv 0 0 0\nf 1 2 3\n", "without any area"),
        (np.zeros((3, 2)), "columns"),
        (np.zeros(3), "shape"),
        (np.zeros((2_000_001, 3), np.int8), "limit is 2,000,000"),
        ("a.ply", "got the text"),
    ],
)
def test_what_is_no_cloud_has_a_reason(value, reason):
    pytest.importorskip("trimesh")
    with pytest.raises(DataError, match=reason):
        read(value)
