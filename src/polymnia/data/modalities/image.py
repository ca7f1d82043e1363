"""`image`: a picture."""

import io
import warnings
from typing import ClassVar

import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps

from polymnia.data.modality import Array, Modality, decoding, register
from polymnia.data.svg import is_svg, svg_to_png
from polymnia.errors import DataError

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "AVIF", "JPEG2000")
"""What Pillow may open; PostScript is not among them, because reading it means running it."""


@register("image")
class Image(Modality):
    """Pixels (H, W, 3) in uint8: a file (raster, or SVG), or an array.

    Orientation from EXIF is applied, transparency becomes white, of an animation the first frame is taken, and 16-bit
    grey keeps its upper 8 bits. An array is (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) in uint8, or floats in [0, 1].
    SVG is rendered to 512 pixels on its longer side (needs resvg-py).
    Limits: 256 MiB a file, 50,000,000 pixels, known from the header before anything is decoded.

    Examples
    --------
    >>> Image().read(np.zeros((4, 6))).shape
    (4, 6, 3)
    """

    suffixes = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".avif", ".jp2", ".svg")
    ragged = 2
    max_pixels: ClassVar[int] = 50_000_000
    svg_size: ClassVar[int] = 512

    def decode(self, data: bytes) -> Array:
        """Return the pixels of a file."""
        if is_svg(data):
            data = svg_to_png(data, size=self.svg_size)
        Pillow.init()
        known = [name for name in FORMATS if name in Pillow.OPEN]
        try:
            with warnings.catch_warnings():  # the limit below is lower than the one that Pillow warns at
                warnings.simplefilter("ignore", Pillow.DecompressionBombWarning)
                picture = Pillow.open(io.BytesIO(data), formats=known)
        except Pillow.UnidentifiedImageError:
            raise DataError(f"is not an image, or is truncated; accepted: {', '.join(known)}, SVG") from None
        except Pillow.DecompressionBombError as error:
            raise DataError(f"has too many pixels: {error}") from None
        except Exception as error:
            raise DataError(f"is not a readable image: {error}") from error
        with picture:
            self._within(picture.width, picture.height)
            with decoding(f"{picture.format} image"):
                picture.load()
                return _rgb(ImageOps.exif_transpose(picture))

    def check(self, array: Array) -> Array:
        """Return the pixels (H, W, 3) of an array."""
        if array.ndim == 2:
            array = array[..., None]
        if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or not array.size:
            raise DataError(f"has shape {array.shape}; (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) is needed")
        self._within(array.shape[1], array.shape[0])
        return on_white(eight_bit(array))

    def _within(self, width: int, height: int) -> None:
        if width * height > self.max_pixels:
            raise DataError(f"has {width} × {height} pixels; the limit is {self.max_pixels:,}")
        if not width * height:
            raise DataError(f"has {width} × {height} pixels: nothing to see")


def eight_bit(array: Array) -> Array:
    """Return pixels in uint8 from uint8, or from floats in [0, 1]."""
    if array.dtype == np.uint8:
        return array
    if not np.issubdtype(array.dtype, np.floating):
        raise DataError(f"has dtype {array.dtype}; pixels are uint8, or floats in [0, 1]")
    if not np.isfinite(array).all():
        raise DataError(f"has {int((~np.isfinite(array)).sum()):,} values that are NaN or infinite")
    if array.min() < 0 or array.max() > 1:
        raise DataError(f"has floats from {array.min():.4g} to {array.max():.4g}; they must lie in [0, 1]")
    return np.round(array * 255).astype(np.uint8)


def on_white(array: Array) -> Array:
    """Return (..., 3) from uint8 pixels (..., 1), (..., 3) or (..., 4); the fourth channel is opacity."""
    if array.shape[-1] == 1:
        return np.repeat(array, 3, axis=-1)
    if array.shape[-1] == 3:
        return np.ascontiguousarray(array)
    colour, opacity = array[..., :3].astype(np.float32), array[..., 3:].astype(np.float32) / 255
    return np.round(colour * opacity + 255 * (1 - opacity)).astype(np.uint8)


def _rgb(picture: Pillow.Image) -> Array:
    """Return a decoded picture of any mode as (H, W, 3)."""
    if picture.mode.startswith("I"):
        grey = np.asarray(picture)
        if grey.min() < 0 or grey.max() > 65535:
            raise DataError(f"has grey values from {grey.min()} to {grey.max()}; 8 or 16 bits are read")
        return on_white((grey >> 8).astype(np.uint8)[..., None])
    if picture.mode == "F":
        raise DataError("has floating-point pixels; save it with 8 or 16 bits")
    clear = picture.has_transparency_data
    return on_white(np.asarray(picture.convert("RGBA" if clear else "RGB")))
