"""The tokeniser of pictures of the host `sketch`: a small autoencoder with a codebook, trained once a machine."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss, pad

from polymnia.hosts.pictures import PictureTokeniser
from polymnia.layers.codebooks.ema import EMA
from polymnia.randomness import derive, drawing_from

STRIDE = 4
"""Pixels of a side that one code stands for."""
COMMITMENT = 0.25
"""Of the pull of vectors towards their codes, as in the paper."""
MOST = 3
"""Pixels by which a picture is moved at most, to either side."""
COLOUR = 4.0
"""By how much a pixel of full colour counts more than a grey one (ours)."""


class Residual(nn.Module):
    """What the neighbours add to a vector. (B, d, h, w) → (B, d, h, w).

    Source: van den Oord et al. 2017 (VQ-VAE), section 4.1.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(nn.GELU(), nn.Conv2d(width, width, 3, 1, 1), nn.GELU(), nn.Conv2d(width, width, 1))

    def forward(self, vectors: Tensor) -> Tensor:
        """Return the vectors with what is added."""
        added: Tensor = self.branch(vectors)
        return vectors + added


class SketchPictures(PictureTokeniser):
    """Convolutions to a grid of vectors, the nearest code of each, and convolutions back.

    Parameters
    ----------
    side : int
        Pixels of a side; a multiple of four.
    codes : int
        How many codes there are.
    width : int
        Of a code.

    Source: van den Oord et al. 2017 (VQ-VAE), sections 3.1 and 3.2; codes as moving averages, appendix A.1.
    """

    def __init__(self, *, side: int, codes: int, width: int = 24) -> None:
        super().__init__()
        self.side, self.codes, self.length = side, codes, (side // STRIDE) ** 2
        self.inwards = nn.Sequential(
            nn.Conv2d(3, 32, 4, 2, 1), nn.GELU(), nn.Conv2d(32, 64, 4, 2, 1), Residual(64), Residual(64),
            nn.GELU(), nn.Conv2d(64, width, 1),
        )  # fmt: skip
        self.outwards = nn.Sequential(
            nn.Conv2d(width, 64, 3, 1, 1), Residual(64), Residual(64), nn.GELU(),
            nn.ConvTranspose2d(64, 32, 4, 2, 1), nn.GELU(), nn.ConvTranspose2d(32, 3, 4, 2, 1),
        )  # fmt: skip
        self.codebook = EMA(width, EMA.Settings(codes=codes, idle=50))
        self.codebook.begin(0)

    def vectors(self, pixels: Tensor) -> Tensor:
        """Return (B, T, width) of pixels (B, 3, side, side)."""
        return self.inwards(pixels).flatten(2).transpose(1, 2)

    def painted(self, vectors: Tensor) -> Tensor:
        """Return pixels (B, 3, side, side) of vectors (B, T, width)."""
        grid = self.side // STRIDE
        found: Tensor = self.outwards(vectors.transpose(1, 2).unflatten(2, (grid, grid)))
        return found

    def encode(self, pixels: Tensor) -> Tensor:
        """Return codes (B, T) of pixels (B, 3, side, side) in [-1, 1]."""
        return self.codebook.quantise(self.vectors(pixels)).ids

    def decode(self, codes: Tensor) -> Tensor:
        """Return pixels (B, 3, side, side) of codes (B, T)."""
        return self.painted(self.codebook.codes[codes])


def trained_pictures(pixels: Tensor, settings: Any) -> SketchPictures:
    """Return a tokeniser trained on pixels (N, 3, side, side) in [-1, 1].

    Parameters
    ----------
    pixels : Tensor
        All of them.
    settings : Any
        With `codes`, `picture_steps`, `picture_lr` and `seed`.
    """
    with drawing_from(settings.seed, "sketch", "pictures"):
        tokeniser = SketchPictures(side=pixels.shape[-1], codes=settings.codes).train()
    optimiser = torch.optim.AdamW(tokeniser.parameters(), lr=settings.picture_lr, weight_decay=0.0)
    falling = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, total_iters=settings.picture_steps)
    for step, rows in enumerate(drawn_rows(len(pixels), settings.picture_steps, seed=settings.seed)):
        given = shifted(pixels[rows], seed=derive(settings.seed, "sketch", "shift", step))
        vectors = tokeniser.vectors(given)
        tokeniser.codebook.update(
            [vectors], progress=step / settings.picture_steps, seed=derive(settings.seed, "sketch", "codes", step)
        )
        coded = tokeniser.codebook.quantise(vectors)
        pull = mse_loss(vectors, tokeniser.codebook.codes[coded.ids])
        off = (tokeniser.painted(coded.vectors) - given).square()
        loss = (off * colourful(given)).mean() + COMMITMENT * pull
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        falling.step()
    return tokeniser.eval()


def shifted(pixels: Tensor, *, seed: int, most: int = MOST) -> Tensor:
    """Return pictures (B, 3, side, side), each moved by up to `most` pixels; its edge is drawn out to fill in.

    There are few pictures, and a model that sees each at one place alone learns them by heart (ours).

    Examples
    --------
    >>> picture = torch.arange(4.0).reshape(1, 1, 2, 2)
    >>> bool(torch.equal(shifted(picture, seed=0, most=0), picture))
    True
    """
    random = torch.Generator().manual_seed(seed)
    by = torch.randint(2 * most + 1, (len(pixels), 2), generator=random)
    wide = pad(pixels, (most, most, most, most), mode="replicate")
    side = torch.arange(pixels.shape[-1])
    down, across = (by[:, :1] + side), (by[:, 1:] + side)  # (B, side)
    picture = torch.arange(len(pixels))[:, None, None]
    return wide.permute(0, 2, 3, 1)[picture, down[:, :, None], across[:, None, :]].permute(0, 3, 1, 2)


def colourful(pixels: Tensor) -> Tensor:
    """Return how much each pixel (B, 1, side, side) counts: most of a picture is nearly white or black."""
    return 1 + COLOUR * (pixels.amax(1, keepdim=True) - pixels.amin(1, keepdim=True))


def drawn_rows(n: int, steps: int, *, seed: int, size: int = 64) -> Iterator[Tensor]:
    """Yield numbers (size,) of `n` rows, drawn anew at each step."""
    random = torch.Generator().manual_seed(derive(seed, "sketch", "picture order"))
    for _ in range(steps):
        yield torch.randint(n, (size,), generator=random)
