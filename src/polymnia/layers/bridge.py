"""A bridge: from an encoder's tokens to tokens that a language model reads."""

from math import prod
from typing import Literal

from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, gelu

from polymnia.errors import SettingsError

Pooling = Literal["none", "mean", "convolution"]


class Bridge(nn.Module):
    """Layer normalisation, pooling over a grid of tokens, and two linear maps with GELU between them.

    Parameters
    ----------
    d : int
        Width of the encoder's tokens.
    width : int
        Width H of the language model.
    pooling : {"none", "mean", "convolution"}
        Over squares of two by two tokens: their mean, or a convolution with GELU.
    grid : tuple of int
        Height and width of the grid that the tokens are, row by row; a value may be several grids, frame by frame. The
        released code of MoInCL reads the 8 × 32 patches of a sound as a square, which mixes cells that are not
        neighbours.

    Source: Pian et al. 2024 (LayerNorm, Conv2d 2 × 2, Linear, GELU, Linear), as released.
    """

    def __init__(self, d: int, width: int, *, pooling: Pooling = "none", grid: tuple[int, ...] = ()) -> None:
        super().__init__()
        if pooling != "none" and len(grid) != 2:
            raise SettingsError(f"model.grid: pooling {pooling!r} needs height and width of the grid; {grid} is given")
        self.pooling, self.grid = pooling, grid
        self.norm = nn.LayerNorm(d)
        self.squares = nn.Conv2d(d, d, 2, stride=2) if pooling == "convolution" else None
        self.maps = nn.Sequential(nn.Linear(d, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, tokens: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Return tokens (B, T', H) and which are valid (B, T'), for tokens (B, T, d) and their validity (B, T)."""
        tokens = self.norm(tokens)
        if self.pooling != "none":
            tokens, valid = self.pooled(tokens), self.whole(valid)
        mapped: Tensor = self.maps(tokens)
        return mapped, valid

    def pooled(self, tokens: Tensor) -> Tensor:
        """Return (B, T', d): one token for each two by two of a grid, cells beyond its edge left out."""
        cells, frames = self._grids(tokens), tokens.shape[1] // prod(self.grid)
        if self.squares is None:
            held = avg_pool2d(cells, 2, ceil_mode=True, count_include_pad=False)
        else:
            odd = [side % 2 for side in self.grid]
            held = gelu(self.squares(nn.functional.pad(cells, (0, odd[1], 0, odd[0]))))
        return held.flatten(2).transpose(1, 2).reshape(tokens.shape[0], frames * prod(held.shape[2:]), -1)

    def whole(self, valid: Tensor) -> Tensor:
        """Return (B, T'): valid where one of a square's tokens is."""
        cells = self._grids(valid[..., None].float())
        return (nn.functional.max_pool2d(cells, 2, ceil_mode=True) > 0).reshape(len(valid), -1)

    def _grids(self, tokens: Tensor) -> Tensor:
        """Return (B · frames, d, height, width)."""
        b, t, d = tokens.shape
        if t % prod(self.grid):
            raise SettingsError(
                f"model.grid: {t} tokens are no whole number of grids of {self.grid[0]} × {self.grid[1]}"
            )
        return tokens.reshape(b * (t // prod(self.grid)), *self.grid, d).permute(0, 3, 1, 2)


def packed(tokens: Tensor, valid: Tensor, *, behind: bool = True) -> tuple[Tensor, Tensor]:
    """Return tokens (B, T', …) and validity (B, T') with the valid ones side by side, in order.

    Parameters
    ----------
    tokens, valid : Tensor
        (B, T, …) and (B, T) bool.
    behind : bool
        Where the padding goes: behind the tokens, or before them.

    Examples
    --------
    >>> import torch
    >>> tokens = torch.tensor([[1.0, 0.0, 2.0], [3.0, 4.0, 5.0]])[..., None]
    >>> valid = torch.tensor([[True, False, True], [False, True, False]])
    >>> packed(tokens, valid)[0][..., 0].tolist()
    [[1.0, 2.0], [4.0, 3.0]]
    >>> packed(tokens, valid, behind=False)[1].tolist()
    [[True, True], [False, True]]
    """
    if bool(valid.all()):
        return tokens, valid
    order = packing(valid, behind=behind)
    return taken(tokens, order), valid.gather(1, order)


def packing(valid: Tensor, *, behind: bool = True) -> Tensor:
    """Return (B, T'), where each token of the packed rows comes from, for validity (B, T)."""
    length = max(int(valid.sum(1).max()), 1)
    order = (~valid if behind else valid).long().argsort(dim=1, stable=True)
    return order[:, :length] if behind else order[:, -length:]


def taken(tokens: Tensor, order: Tensor) -> Tensor:
    """Return (B, T', …) of tokens (B, T, …), from where `order` (B, T') says."""
    return tokens.gather(1, order.reshape(*order.shape, *[1] * (tokens.ndim - 2)).expand(-1, -1, *tokens.shape[2:]))
