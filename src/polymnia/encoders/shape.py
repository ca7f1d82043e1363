"""`shape-descriptors`: what can be said of a point cloud by hand, without a network and without weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from polymnia.data.modality import Array
from polymnia.data.stage import Card
from polymnia.encoders.base import Encoder, register
from polymnia.encoders.weights import fingerprint
from polymnia.errors import DataError, SettingsError

MOST = 1024
"""Points that distances between pairs are taken of; of more, every so manyth."""
BINS, SLICES, CELLS = 48, 12, 5
AXES = {"x": 0, "y": 1, "z": 2}


@register("shape-descriptors")
class ShapeDescriptors(Encoder):
    """Points (N, 3 or more) → 4 tokens of 229 numbers, one a descriptor; nothing is learned, nothing is drawn.

    Points are centred on their mean and scaled so that the furthest lies at distance 1; colours and normals are
    not looked at. The descriptors: the histogram of distances between all pairs of points (48 bins from 0 to 2: the D2
    shape distribution); by height, in 12 slices, the share of points with the mean and the largest distance from the
    upright axis; which of 5 × 5 × 5 cells of the bounding cube hold how many points; and 20 extents: of the
    bounding box, of the principal axes with how upright each is, and moments of height and radius. Of shares the square
    root is taken, so that the many small ones count (Hellinger's distance).

    Each token is zero outside its own descriptor and four times as large in it, so that the mean of the tokens is the
    descriptors side by side, and a model that attends over tokens still gets them apart.

    Turning an object about its upright axis changes the cells, and nothing else but the box's extents.

    Source: Osada, Funkhouser, Chazelle, Dobkin 2002, "Shape distributions", section 3 (D2); the others are the usual
    coarse descriptors.

    Examples
    --------
    >>> cloud = np.random.default_rng(0).random((100, 3))
    >>> ShapeDescriptors().encode([cloud])[0].shape
    torch.Size([4, 229])
    """

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """Which way is up."""

        up: str = "y"
        """x, y or z."""

    kind = "point-cloud"
    width = BINS + 3 * SLICES + CELLS**3 + 20
    card = Card(
        title="Shape descriptors made by hand: D2 distances, height profile, coarse cells, extents",
        licence="none needed",
        citation="R. Osada, T. Funkhouser, B. Chazelle, D. Dobkin (2002). Shape distributions. ACM Transactions on "
        "Graphics 21(4), 807–832.",
        notes="No network: a floor for point-cloud encoders, for which no weights could be had.",
    )

    def __init__(self, settings: Any = None) -> None:
        super().__init__(settings)
        if self.settings.up not in AXES:
            raise SettingsError(f"up: {self.settings.up!r} is given; accepted: {', '.join(AXES)}")

    @cached_property
    def fingerprint(self) -> str:
        """Digest of what is computed."""
        return fingerprint(self.name, {"version": 1, "up": self.settings.up, "sizes": [MOST, BINS, SLICES, CELLS]}, [])

    def encode(self, values: Sequence[Array | str]) -> list[Tensor]:
        """Return tokens (4, 229) of clouds."""
        return [self._tokens(np.asarray(value)) for value in values]

    def _tokens(self, value: Array) -> Tensor:
        if value.ndim != 2 or value.shape[1] < 3 or len(value) < 2 or not np.issubdtype(value.dtype, np.number):
            raise DataError(f"encoder 'shape-descriptors' takes 2 points or more (N, 3), not an array {value.shape}")
        points = value[:, :3].astype(np.float64)
        points -= points.mean(0)
        size = np.linalg.norm(points, axis=1).max()
        if not size > 0:
            raise DataError("has all of its points in one place: there is no shape")
        points /= size
        up = AXES[self.settings.up]
        points = points[:, [(up + 1) % 3, (up + 2) % 3, up]]  # height last, and never mirrored
        parts = [distances(points), profile(points), cells(points), extents(points)]
        tokens = np.zeros((len(parts), self.width), dtype=np.float32)
        at = 0
        for row, part in enumerate(parts):
            tokens[row, at : at + len(part)] = len(parts) * part
            at += len(part)
        return torch.from_numpy(tokens)


def distances(points: Array) -> Array:
    """Return the root shares (48,) of distances between all pairs, from 0 to 2."""
    some = points[:: -(-len(points) // MOST)]
    square = np.square(some).sum(1)
    between = np.sqrt(np.maximum(square[:, None] + square - 2 * some @ some.T, 0))
    counts = np.bincount(np.minimum((BINS / 2 * between).astype(int), BINS - 1).ravel(), minlength=BINS)
    counts[0] -= len(some)  # each point's distance from itself
    return np.sqrt(counts / counts.sum())


def profile(points: Array) -> Array:
    """Return for 12 slices from bottom to top: root share of points, mean and largest radius (36,)."""
    height, radius = points[:, 2], np.linalg.norm(points[:, :2], axis=1)
    low, high = height.min(), height.max()
    part = np.minimum((SLICES * (height - low) / max(high - low, 1e-9)).astype(int), SLICES - 1)
    count = np.bincount(part, minlength=SLICES)
    mean = np.bincount(part, weights=radius, minlength=SLICES) / np.maximum(count, 1)
    largest = np.zeros(SLICES)
    np.maximum.at(largest, part, radius)
    return np.concatenate([np.sqrt(count / len(points)), mean, largest])


def cells(points: Array) -> Array:
    """Return the root shares (125,) of points in the cells of the cube around the bounding box's centre."""
    low, high = points.min(0), points.max(0)
    side = (high - low).max()
    place = (points - (low + high) / 2) / side + 0.5
    place = np.clip((CELLS * place).astype(int), 0, CELLS - 1)
    number = place @ np.array([CELLS * CELLS, CELLS, 1])
    return np.sqrt(np.bincount(number, minlength=CELLS**3) / len(points))


def extents(points: Array) -> Array:
    """Return 20 numbers: how large, along which axes, and how spread."""
    box = points.max(0) - points.min(0)
    low, middle, high = np.sort(box)
    variance, axes = np.linalg.eigh(np.cov(points.T, bias=True))
    spread = np.sqrt(np.maximum(variance, 0))
    height, radius = points[:, 2], np.linalg.norm(points[:, :2], axis=1)
    moments = [f(v) for v in (height, radius, np.linalg.norm(points, axis=1)) for f in (np.mean, np.std)]
    shares = [low / high, middle / high, box[2] / high]
    middle_height = (height.max() + height.min()) / 2
    return np.array(
        [*box, *shares, *spread, *np.abs(axes[2]), *moments, (height > middle_height).mean(), middle_height]
    )
