"""`point-cloud`: points in space, or the surface of a mesh."""

import io
from typing import Any, ClassVar

import numpy as np

from polymnia.data.modality import Array, Modality, decoding, register
from polymnia.data.numbers import NPY, finite, numbers
from polymnia.errors import DataError, MissingExtra

OBJ_WORDS = {b"v", b"vn", b"vt", b"f", b"o", b"g", b"s", b"l", b"p", b"mtllib", b"usemtl"}


@register("point-cloud")
class PointCloud(Modality):
    """Points (N, 3 or more) in float32, the first three columns x, y, z: an array or a file.

    Files: `.npy`, text with one point a line (`.csv`, `.xyz`), and through trimesh `.ply` and `.obj`. Of a mesh, 2,048
    points are drawn from its surface, evenly by area and always the same ones; a file without faces gives its
    vertices. Limits: 256 MiB a file, 2,000,000 points or vertices, 64 columns.

    Examples
    --------
    >>> PointCloud().read(b"x,y,z\\n0,0,0\\n1,0,2\\n").shape
    (2, 3)
    """

    suffixes = (".npy", ".csv", ".xyz", ".ply", ".obj")
    max_points: ClassVar[int] = 2_000_000
    max_columns: ClassVar[int] = 64
    surface_points: ClassVar[int] = 2048

    def decode(self, data: bytes) -> Array:
        """Return the points of a file."""
        kind = mesh_kind(data)
        if kind is None:
            return self.check(numbers(data, limit=self.max_points * self.max_columns))
        vertices, faces = self._mesh(data, kind)
        points = self.check(vertices)
        return surface(points, faces, self.surface_points) if len(faces) else points

    def check(self, array: Array) -> Array:
        """Return finite float32 points (N, 3 or more)."""
        points = finite(array, ndims=(2,), form="(N, 3 or more)")
        if not 3 <= points.shape[1] <= self.max_columns:
            raise DataError(f"has {points.shape[1]} columns; from 3 (x, y, z) to {self.max_columns} are accepted")
        if len(points) > self.max_points:
            raise DataError(f"has {len(points):,} points; the limit is {self.max_points:,}")
        return points

    def _mesh(self, data: bytes, kind: str) -> tuple[Array, Array]:
        """Return vertices (V, 3) and triangles (F, 3) of a file."""
        try:
            import trimesh
        except ImportError:
            raise MissingExtra("trimesh", "bundled") from None
        with decoding(f"{kind.upper()} file"):
            loaded: Any = trimesh.load(io.BytesIO(data), file_type=kind, process=False, skip_materials=True)
            parts = loaded.dump() if hasattr(loaded, "dump") else [loaded]
            vertices = [np.asarray(part.vertices, dtype=np.float64).reshape(-1, 3) for part in parts]
            offsets = np.cumsum([0, *map(len, vertices)])
            faces = [
                np.asarray(getattr(part, "faces", ()), dtype=np.int64).reshape(-1, 3) + offset
                for part, offset in zip(parts, offsets[:-1], strict=True)
            ]
            return np.concatenate([*vertices, np.zeros((0, 3))]), np.concatenate([*faces, np.zeros((0, 3), np.int64)])


def mesh_kind(data: bytes) -> str | None:
    """Return "ply" or "obj" when a file's content starts like one."""
    if data.startswith((b"ply\n", b"ply\r")):
        return "ply"
    if data.startswith(NPY):
        return None
    lines = (line.split() for line in data[:65536].splitlines())
    first = next((words[0] for words in lines if words and not words[0].startswith(b"#")), b"")
    return "obj" if first in OBJ_WORDS else None


def surface(vertices: Array, faces: Array, count: int) -> Array:
    """Return `count` points (count, 3) on the triangles, evenly by area; the same mesh gives the same points.

    Source: Osada et al. 2002, Shape Distributions, eq. 1 (a point of a triangle from two uniform numbers).
    """
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise DataError(f"has a face over vertex {int(faces.max())}; there are {len(vertices)} vertices")
    corners = vertices[faces].astype(np.float64)  # (F, 3 corners, 3)
    along, across = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    areas = np.linalg.norm(np.cross(along, across), axis=1)
    if not 0 < areas.sum() < np.inf:
        raise DataError("has faces without any area: no surface to draw points from")
    random = np.random.default_rng(0)
    chosen = random.choice(len(faces), size=count, p=areas / areas.sum())
    root, share = np.sqrt(random.random((count, 1))), random.random((count, 1))
    points = corners[chosen, 0] + root * (1 - share) * along[chosen] + root * share * across[chosen]
    return points.astype(np.float32)
