"""Thumbnails: what a picture or a film looks like, small."""

import io

import numpy as np
from PIL import Image as Pillow

from polymnia.data.modality import Array

SEEN = ("image", "video")
"""Kinds of signal that can be looked at."""


def thumbnail(pixels: Array, *, side: int) -> bytes:
    """Return a small JPEG of a picture (H, W, 3), or of the middle one of frames (T, H, W, 3), in uint8.

    Parameters
    ----------
    pixels : array
        As modality `image` or `video` reads them.
    side : int
        Pixels of the longer side, at most.

    Examples
    --------
    >>> made = thumbnail(np.zeros((3, 40, 80, 3), np.uint8), side=20)
    >>> Pillow.open(io.BytesIO(made)).size
    (20, 10)
    """
    picture = Pillow.fromarray(np.asarray(pixels if pixels.ndim == 3 else pixels[len(pixels) // 2]))
    picture.thumbnail((side, side))
    held = io.BytesIO()
    picture.save(held, "JPEG", quality=80)
    return held.getvalue()
