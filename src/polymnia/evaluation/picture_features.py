"""Features of pictures, in which real and drawn ones are compared."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from polymnia.config import Named, part
from polymnia.data.modality import MODALITIES, Array
from polymnia.encoders.base import ENCODERS, Encoder
from polymnia.encoders.cache import Cache
from polymnia.encoders.columns import encode_columns
from polymnia.encoders.values import encode_values
from polymnia.errors import DataError, SettingsError
from polymnia.hosts.pictures import square

PIXELS = "pixels"
SIDE = 16
"""Of the picture whose pixels are features."""
WHERE = "evaluation.probes.drawing.features"


class PictureFeatures:
    """One vector a picture: the mean over an encoder's tokens, or the pixels of the picture at 16 × 16.

    Parameters
    ----------
    named : Named
        "pixels", or an encoder of pictures.

    Raises
    ------
    SettingsError
        There is no such encoder, or it reads no pictures.
    MissingExtra
        What the encoder is made of is not installed.
    """

    def __init__(self, named: Named) -> None:
        self.encoder: Encoder | None = None
        if named != PIXELS:
            kind, settings = part(ENCODERS, named, WHERE)
            encoder: Encoder = kind(settings)
            if not encoder.reads("image"):
                raise SettingsError(
                    f"{WHERE}: {encoder.name!r} reads {encoder.kind}, and one that reads image is needed"
                )
            if not encoder.fingerprint:  # which raises where its weights are not there: now, and not after a stage
                raise SettingsError(f"{WHERE}: {encoder.name!r} has no weights")
            self.encoder = encoder

    def of_pictures(self, pictures: Sequence[Array]) -> Tensor:
        """Return (N, D) of pictures (h, w, 3) in uint8, which are not kept."""
        if self.encoder is None:
            return torch.from_numpy(np.stack([square(p, SIDE) for p in pictures])).flatten(1).float() / 255
        found = dict(encode_values(dict(enumerate(pictures)), self.encoder, MODALITIES.get("image")()))
        return torch.stack([_mean(row, found[row]) for row in range(len(pictures))])

    def of_values(self, values: Array) -> Tensor:
        """Return (N, D) of a column of pictures as a source has them; the encoder sees each once a machine."""
        if self.encoder is None:
            return self.of_pictures(pixels_of(values))
        there = torch.ones(len(values), dtype=torch.bool)
        [(tokens, broken)] = encode_columns([(values, there)], self.encoder, kind="image", pool=True, cache=Cache())
        if broken:
            row, reason = next(iter(broken.items()))
            raise DataError(f"picture {row + 1} of {len(values)}: {reason}")
        return tokens.gather(torch.arange(len(values)))[0][:, 0]


def pixels_of(values: Sequence[Any] | Array) -> list[Array]:
    """Return pictures (h, w, 3) in uint8 of values as a source has them: files or arrays."""
    reader = MODALITIES.get("image")()
    return [np.asarray(reader.read(value)) for value in values]


def _mean(row: int, tokens: Tensor | str) -> Tensor:
    if isinstance(tokens, str):
        raise DataError(f"drawn picture {row + 1}: {tokens}")
    return tokens.float().mean(0)
