"""A tokeniser of pictures: pictures to codes of a grid and back."""

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image as Pillow
from torch import Tensor, nn

from polymnia.data.modality import Array


class PictureTokeniser(nn.Module):
    """Base of all tokenisers of pictures.

    Attributes
    ----------
    side : int
        Pixels of a side; pictures are square.
    codes : int
        How many codes there are.
    length : int
        How many codes a picture has.
    """

    side: int
    codes: int
    length: int

    @abstractmethod
    def encode(self, pixels: Tensor) -> Tensor:
        """Return codes (B, T) of pixels (B, 3, side, side) in [-1, 1]."""

    @abstractmethod
    def decode(self, codes: Tensor) -> Tensor:
        """Return pixels (B, 3, side, side), about in [-1, 1], of codes (B, T)."""


def square(picture: Array, side: int) -> Array:
    """Return (side, side, 3) in uint8 of a picture (h, w, 3): all of it, on white where it is not square."""
    height, width = picture.shape[:2]
    longer = max(height, width)
    whole = Pillow.new("RGB", (longer, longer), (255, 255, 255))
    whole.paste(Pillow.fromarray(picture), ((longer - width) // 2, (longer - height) // 2))
    return np.asarray(
        whole.resize((side, side), Pillow.Resampling.BOX if longer >= side else Pillow.Resampling.NEAREST)
    )


def to_pixels(pictures: Sequence[Array], side: int) -> Tensor:
    """Return (B, 3, side, side) in [-1, 1] of pictures (h, w, 3) in uint8."""
    stacked = torch.from_numpy(np.stack([square(picture, side) for picture in pictures]))
    return stacked.permute(0, 3, 1, 2).float() / 127.5 - 1


def to_pictures(pixels: Tensor) -> Tensor:
    """Return (B, h, w, 3) in uint8 of pixels (B, 3, h, w) in [-1, 1].

    Examples
    --------
    >>> to_pictures(torch.tensor([-1.0, 0.0, 2.0]).reshape(1, 3, 1, 1)).flatten().tolist()
    [0, 128, 255]
    """
    return ((pixels.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1)
