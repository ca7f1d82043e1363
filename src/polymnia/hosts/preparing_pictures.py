"""Pictures as a checkpoint's own processor prepares them, and back."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from polymnia.data.modality import Array
from polymnia.encoders.preparing import said
from polymnia.errors import SettingsError

FILES = ("preprocessor_config.json", "processor_config.json")


class PictureProcessor:
    """Prepares pictures by size, mean and standard deviation as `preprocessor_config.json` in a folder says.

    Where there is no such file, its class's defaults hold, at the side that the network wants. It works through
    Pillow, which gives the same pixels on every machine.

    Parameters
    ----------
    kind : str
        A class of transformers.
    folder : Path
        The checkpoint's.
    side : int
        Pixels of a side that the network wants.

    Raises
    ------
    SettingsError
        What it prepares is not of that side.
    """

    def __init__(self, kind: str, folder: Path, *, side: int) -> None:
        import transformers

        made: Any = getattr(transformers, kind)
        with said(f"host: {folder} has no usable processor of pictures"):
            if any((folder / name).is_file() for name in FILES):
                self.held = made.from_pretrained(folder, local_files_only=True)
            else:
                whole, crops = {"height": side, "width": side}, hasattr(made, "crop_size")
                self.held = made(size={"shortest_edge": side}, crop_size=whole) if crops else made(size=whole)
            found = self(np.zeros((side, side + 1, 3), np.uint8))
        if found.shape[1:] != (side, side):
            raise SettingsError(
                f"host: {folder} prepares pictures of {tuple(found.shape[1:])} pixels (preprocessor_config.json), and "
                f"its network wants {side} × {side}"
            )

    def __call__(self, picture: Array) -> Tensor:
        """Return (3, side, side) of a picture (h, w, 3) in uint8, of any size."""
        prepared = self.held(images=picture, return_tensors="pt", input_data_format="channels_last")
        found: Tensor = prepared["pixel_values"][0]
        return found.float()

    def undone(self, pixels: Tensor) -> Tensor:
        """Return pictures (B, side, side, 3) in uint8 of what a network makes, (B, 3, side, side)."""
        pixels = pixels.float().permute(0, 2, 3, 1)
        if self.held.do_normalize:
            mean, std = (
                torch.tensor(each, device=pixels.device) for each in (self.held.image_mean, self.held.image_std)
            )
            pixels = pixels * std + mean
        if self.held.do_rescale:
            pixels = pixels / self.held.rescale_factor
        return pixels.round().clamp(0, 255).to(torch.uint8)
