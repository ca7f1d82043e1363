"""`efficientnet-lite0-frames`: the bundled image network over the frames of a video."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from polymnia.data.modality import Array
from polymnia.encoders.base import register
from polymnia.encoders.efficientnet_lite0 import EfficientNetLite0
from polymnia.encoders.weights import fingerprint
from polymnia.errors import DataError


@register("efficientnet-lite0-frames")
class EfficientNetLite0Frames(EfficientNetLite0):
    """Frames (T, H, W, 3) in uint8 → T tokens of 1280, each the average over one frame's 49.

    What moves is seen only as far as single frames tell: a choice for where no network for videos is at hand.

    Source: the network is that of `efficientnet-lite0`.
    """

    kind = "video"
    batch_size = 2

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the image network's."""
        return fingerprint(self.name, {"version": 1, "frames of": super().fingerprint}, [])

    @torch.inference_mode()
    def encode(self, values: Sequence[Array | str]) -> list[Tensor]:
        """Return tokens (T_i, 1280) of videos (T_i, H, W, 3)."""
        return [self._frames(np.asarray(value)) for value in values]

    def _frames(self, video: Array) -> Tensor:
        if video.ndim != 4 or not len(video):
            raise DataError(f"encoder {self.name!r} takes frames (T, H, W, 3), not an array of shape {video.shape}")
        return torch.stack([tokens.mean(0) for tokens in super().encode(list(video))])
