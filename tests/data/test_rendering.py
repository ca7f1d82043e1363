"""The renderer: a box of which every side and colour is known."""

import io

import numpy as np
import pytest
from PIL import Image as Pillow

from polymnia.data.rendering import Mesh, points_of, read_mesh, turntable
from polymnia.errors import DataError

QUADS = ["1 2 4 3", "5 7 8 6", "1 5 6 2", "3 4 8 7", "1 3 7 5", "2 6 8 4"]
"""x low, x high, y low, y high, z low, z high."""


def box(width, height, depth, faces=None):
    corners = [(width * x, height * y, depth * z) for x in (0, 1) for y in (0, 1) for z in (0, 1)]
    faces = [f"f {quad}" for quad in QUADS] if faces is None else faces
    return "\n".join(["mtllib box.mtl", *("v {} {} {}".format(*c) for c in corners), *faces]).encode()


def picture(colour):
    out = io.BytesIO()
    Pillow.new("RGB", (4, 4), colour).save(out, "PNG")
    return out.getvalue()


FILES = {
    "a/box.obj": box(1, 2, 3, [f"usemtl {name}\nf {quad}" for name, quad in zip(
        ["red", "red", "none", "none", "blue", "seen"], QUADS, strict=True)]),
    "a/box.mtl": b"# colours\nnewmtl red\nKd 1 0 0\n\nnewmtl blue\nKd 0.0 0.0 1.0\nmap_Kd lost.png\nnewmtl seen\n"
                 b"map_Kd -s 1 1 1 green.png\n",
    "a/green.png": picture((0, 255, 0)),
}  # fmt: skip


def test_a_mesh_is_read_with_its_colours():
    mesh = read_mesh("a/box.obj", FILES.__getitem__)
    assert mesh.corners.shape == (12, 3, 3) and mesh.size.tolist() == [1, 2, 3]
    assert mesh.colours[::2].tolist() == [[1, 0, 0]] * 2 + [[0.7, 0.7, 0.7]] * 2 + [[0, 0, 1], [0, 1, 0]]
    assert mesh.turned("1 0 0 0 0 1 0 -1 0").size.tolist() == [1, 3, 2]


def test_negative_numbers_count_from_the_end_and_points_may_have_normals():
    flat = read_mesh("f.obj", {"f.obj": b"v 0 0 0\nv 1 0 0\nv 1 1 0\nf -3//1 -2//1 -1//1\n"}.__getitem__)
    assert flat.corners.tolist() == [[[0, 0, 0], [1, 0, 0], [1, 1, 0]]]


def test_points_lie_evenly_on_the_surface():
    mesh = read_mesh("a/box.obj", FILES.__getitem__)
    points, normals, colours = points_of(mesh, 22_000)
    on_red = (colours == [1, 0, 0]).all(1)
    assert on_red.sum() == pytest.approx(22_000 * 12 / 22, rel=0.01), "12 of the 22 square units are red"
    assert np.isin(points[on_red, 0], [0, 1]).all() and (np.abs(normals[on_red]) == [1, 0, 0]).all()
    top = points[(points[:, 1] == 2)]
    counts = np.histogram2d(top[:, 0], top[:, 2], bins=(4, 12))[0]
    np.testing.assert_allclose(counts, counts.mean(), rtol=0.2)


def test_four_views_of_a_box_show_its_four_sides():
    frames = turntable(read_mesh("a/box.obj", FILES.__getitem__), views=4, size=64, elevation=0.0)
    assert frames.shape == (4, 64, 64, 3) and frames.dtype == np.uint8
    middle = frames[:, 32, 32].astype(int)
    assert [np.flatnonzero(pixel).tolist() for pixel in middle] == [[1], [0], [2], [0]], "green, red, blue, red"
    seen = (frames != 255).any(-1)
    wide, high = seen.any(1).sum(1), seen.any(2).sum(1)
    scale = 32 * 0.92 / np.sqrt(14 / 4)  # half the box's diagonal is half the frame, but for the margin
    np.testing.assert_allclose(wide, np.array([1, 3, 1, 3]) * scale, atol=1.5)
    np.testing.assert_allclose(high, 2 * scale, atol=1.5)
    for view in range(4):
        rows, columns = np.flatnonzero(seen[view].any(1)), np.flatnonzero(seen[view].any(0))
        assert seen[view][rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].mean() > 0.99, "no holes"


def test_what_is_nearer_hides_what_is_behind_and_shading_is_lamberts():
    far, near = ([[0, 0, z], [1, 0, z], [0, 1, z]] for z in (0.0, 0.5))
    mesh = Mesh(np.array([far, near], dtype=float), np.array([[1.0, 0, 0], [0, 0, 1.0]]))
    front, back = turntable(mesh, views=2, size=32, elevation=0.0)
    assert (front[..., 0][(front != 255).any(-1)] == 0).all(), "blue alone"
    assert (back[..., 2][(back != 255).any(-1)] == 0).all(), "from behind, red alone"
    cosine = 0.76 / np.linalg.norm([0.35, 0.55, 0.76])
    assert front[(front != 255).any(-1)][0, 2] == round(255 * (0.35 + 0.65 * cosine))


def test_equal_meshes_give_equal_frames():
    mesh = read_mesh("a/box.obj", FILES.__getitem__)
    assert np.array_equal(turntable(mesh, views=3, size=24), turntable(mesh, views=3, size=24))


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"v 0 0 0\nv 1 0 0\n", "no faces"), (b"v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n", "no triangle with an area"),
     (b"v 0 0 0\nf 1 2 9\n", "OBJ file"), (b"v x y z\nf 1 2 3\n", "OBJ file")],
)  # fmt: skip
def test_what_cannot_be_seen_is_said(content, reason):
    with pytest.raises(DataError, match=reason):
        read_mesh("x.obj", {"x.obj": content}.__getitem__)
