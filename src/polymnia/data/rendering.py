"""Turntables: a mesh, read with its colours, seen from all around by a small renderer of our own."""

import io
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from polymnia.data.modality import Array, decoding
from polymnia.errors import DataError

Floats = NDArray[np.float64]
Read = Callable[[str], bytes]
"""Gets a file's name inside an archive; raises KeyError when it is not there."""

GREY = (0.7, 0.7, 0.7)
"""Of faces without a colour of their own."""
ALONG, ACROSS = 0.7548776662466927, 0.5698402909980532
"""Steps of a sequence in the unit square that leaves no gaps. Source: Roberts 2018, R2."""
LIGHT = np.array([0.35, 0.55, 0.76])
AMBIENT = 0.35
MARGIN = 0.92


@dataclass(frozen=True)
class Mesh:
    """Triangles with colours.

    Parameters
    ----------
    corners : NDArray
        (F, 3 corners, 3), y up.
    colours : NDArray
        (F, 3) red, green and blue in [0, 1].
    """

    corners: Floats
    colours: Floats

    @property
    def size(self) -> Floats:
        """Width, height and depth."""
        points = self.corners.reshape(-1, 3)
        return points.max(0) - points.min(0)

    def turned(self, rotation: str) -> "Mesh":
        """Return the mesh turned by nine numbers, the rows of a rotation; empty: as it is."""
        if not rotation:
            return self
        rows = np.array([float(number) for number in rotation.split()]).reshape(3, 3)
        return Mesh(self.corners @ rows.T, self.colours)


def read_mesh(name: str, read: Read) -> Mesh:
    """Return the mesh of an OBJ file, and the colours of its materials where they are there.

    A polygon is cut into triangles around its first corner. A material's colour is its diffuse one; that of a
    material with a picture on it is the picture's mean.

    Raises
    ------
    DataError
        It is not readable, or has no triangle with an area.
    """
    folder = str(PurePosixPath(name).parent)
    with decoding("OBJ file"):
        lines = read(name).decode("latin-1").splitlines()
        vertices = np.array([line.split()[1:4] for line in lines if line.startswith("v ")], dtype=np.float64)
        palette: dict[str, tuple[float, ...]] = {"": GREY}
        for line in lines:
            if line.startswith("mtllib "):
                palette |= materials(f"{folder}/{line.split(maxsplit=1)[1].strip()}", read)
        faces, colours = _faces(lines, palette)
        if not len(faces) or not len(vertices):
            raise DataError("has no faces: nothing to see")
        numbers = np.where(faces < 0, faces + len(vertices), faces - 1)
        corners = vertices[numbers]
    sides = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    kept = np.isfinite(corners).all((1, 2)) & (np.linalg.norm(sides, axis=1) > 0)
    if not kept.any():
        raise DataError("has no triangle with an area: nothing to see")
    return Mesh(corners[kept], colours[kept])


def _faces(lines: list[str], palette: Mapping[str, tuple[float, ...]]) -> tuple[NDArray[np.int64], Floats]:
    """Return triangles (F, 3) of vertex numbers as the file has them, and their colours (F, 3)."""
    triangles: list[tuple[int, int, int]] = []
    colours: list[tuple[float, ...]] = []
    colour = palette[""]
    for line in lines:
        if line.startswith("f "):
            first, *rest = [int(corner.partition("/")[0]) for corner in line.split()[1:]]
            cut = [(first, *pair) for pair in pairwise(rest)]
            triangles += cut
            colours += [colour] * len(cut)
        elif line.startswith("usemtl"):
            colour = palette.get(line[6:].strip(), palette[""])
    return np.array(triangles, dtype=np.int64).reshape(-1, 3), np.array(colours, dtype=np.float64).reshape(-1, 3)


def materials(name: str, read: Read) -> dict[str, tuple[float, ...]]:
    """Return material → colour of an MTL file; none where the file is not there."""
    try:
        lines = read(name).decode("latin-1").splitlines()
    except KeyError:
        return {}
    found: dict[str, tuple[float, ...]] = {}
    now = ""
    for key, value in _settings(lines):
        if key == "newmtl":
            now = value
        elif key == "Kd" and re.fullmatch(r"(-?[\d.eE+-]+\s*){3}", value):
            found[now] = tuple(min(max(float(part), 0.0), 1.0) for part in value.split())
        elif key == "map_Kd":
            seen = _mean_colour(f"{PurePosixPath(name).parent}/{value.split()[-1]}", read)
            found |= {now: seen} if seen else {}
    return found


def _settings(lines: list[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        key, _, value = line.strip().partition(" ")
        yield key, value.strip()


def _mean_colour(name: str, read: Read) -> tuple[float, ...] | None:
    """Return the mean colour of a picture; None where there is none, or it cannot be read."""
    try:
        with Image.open(io.BytesIO(read(name)), formats=("JPEG", "PNG", "GIF", "BMP")) as picture:
            small = np.asarray(picture.convert("RGBA").resize((16, 16)), dtype=np.float64) / 255
    except (KeyError, OSError, Image.DecompressionBombError):
        return None
    opacity = small[..., 3:]
    return tuple(((small[..., :3] * opacity).sum((0, 1)) / max(opacity.sum(), 1e-9)).tolist())


def points_of(mesh: Mesh, count: int) -> tuple[Floats, Floats, Floats]:
    """Return points (count, 3), normals (count, 3) and colours (count, 3) of a surface, evenly by area."""
    along, across = mesh.corners[:, 1] - mesh.corners[:, 0], mesh.corners[:, 2] - mesh.corners[:, 0]
    normal = np.cross(along, across)
    area = np.linalg.norm(normal, axis=1)
    ends = np.cumsum(area)
    chosen = np.searchsorted(ends, (np.arange(count) + 0.5) / count * ends[-1]).clip(max=len(area) - 1)
    u, v = (np.arange(count) * ALONG % 1)[:, None], (np.arange(count) * ACROSS % 1)[:, None]
    u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
    points = mesh.corners[chosen, 0] + u * along[chosen] + v * across[chosen]
    return points, (normal / area[:, None])[chosen], mesh.colours[chosen]


def turntable(mesh: Mesh, *, views: int, size: int, elevation: float = 20.0) -> Array:
    """Return frames (views, size, size, 3) in uint8: a mesh on white, turned once around its upright axis.

    The camera looks down by `elevation` degrees and has no perspective; all frames have one scale, at which the mesh
    fits however it is turned. Each pixel is the mean of the surface's points that are nearest to the camera there,
    bright by the angle to a light beside the camera (Lambert), from whichever side a face is seen.
    """
    low, high = mesh.corners.min((0, 1)), mesh.corners.max((0, 1))
    points, normals, colours = points_of(mesh, max(8 * size * size, 1000))
    points = points - (low + high) / 2
    points = points / np.linalg.norm(points, axis=1).max()
    light = LIGHT / np.linalg.norm(LIGHT)
    frames = np.empty((views, size, size, 3), np.uint8)
    for view in range(views):
        turn = _camera(2 * np.pi * view / views, np.deg2rad(elevation))
        shade = AMBIENT + (1 - AMBIENT) * np.abs(normals @ turn.T @ light)
        frames[view] = _seen(points @ turn.T, colours * shade[:, None], size)
    return frames


def _camera(azimuth: float, elevation: float) -> Floats:
    """Return the rotation (3, 3) after which x is right, y up and z towards the camera."""
    a, e = (np.cos(azimuth), np.sin(azimuth)), (np.cos(elevation), np.sin(elevation))
    around = np.array([[a[0], 0, a[1]], [0, 1, 0], [-a[1], 0, a[0]]])
    down = np.array([[1, 0, 0], [0, e[0], -e[1]], [0, e[1], e[0]]])
    return down @ around


def _seen(points: Floats, colours: Floats, size: int) -> Array:
    """Return the picture (size, size, 3) of points (P, 3) with colours: of each pixel, the nearest ones' mean."""
    across = ((points[:, 0] * MARGIN + 1) / 2 * size).astype(np.int64).clip(0, size - 1)
    down = ((1 - points[:, 1] * MARGIN) / 2 * size).astype(np.int64).clip(0, size - 1)
    pixel = down * size + across
    nearest = np.full(size * size, -np.inf)
    np.maximum.at(nearest, pixel, points[:, 2])
    front = points[:, 2] >= nearest[pixel] - 2 / size  # as deep as a pixel is wide: one surface, not the next behind
    count = np.bincount(pixel[front], minlength=size * size)
    sums = [np.bincount(pixel[front], weights=colours[front, c], minlength=size * size) for c in range(3)]
    held = np.stack(sums, 1) / np.maximum(count, 1)[:, None]
    picture = np.where(count[:, None] > 0, held, 1.0)
    return np.round(picture.clip(0, 1) * 255).astype(np.uint8).reshape(size, size, 3)
