"""Steps: sequences of any length as sequences of N, so that modalities can be compared step by step."""

import torch
from torch import Tensor

from polymnia.errors import SettingsError


def resampled(values: Tensor, valid: Tensor | None, steps: int) -> Tensor:
    """Return (B, N, d), each step the mean of its stretch of the valid tokens, (B, T, d) → (B, N, d).

    The L valid tokens of a row, wherever they stand, are cut into N stretches of length L / N. A token on the border
    of two counts in both, by the part that lies there; where there are fewer tokens than steps, tokens repeat. A row
    without any token gives zeros. What stands at invalid places, and how many there are, has no influence. One step
    is `masked_mean`.

    Parameters
    ----------
    values : Tensor
        (B, T, d).
    valid : Tensor or None
        (B, T) bool; None: all.
    steps : int
        N, at least 1.

    Raises
    ------
    SettingsError
        `steps` is below 1.

    Source: comet.md §6, item 14 ("resample all to N"); box filter with fractional borders [X].

    Examples
    --------
    >>> tokens = torch.tensor([[[1.0], [2.0], [6.0]]])
    >>> resampled(tokens, None, 2).flatten().tolist()  # (1 + 2 / 2) / 1.5 and (2 / 2 + 6) / 1.5
    [1.3333333730697632, 4.666666507720947]
    """
    if steps < 1:
        raise SettingsError(f"steps: {steps} is given; at least 1 is accepted")
    tokens = values.shape[1]
    if valid is None and tokens == steps:
        return values
    if valid is None:
        valid = torch.ones(values.shape[:2], dtype=torch.bool, device=values.device)
    weights = _shares(valid, steps)  # (B, N, T)
    cleaned = torch.where(valid[..., None], values, 0.0)
    # float64: a sum over more zeros is added up in another order, and must still round to the same float32
    return (weights.to(torch.float64) @ cleaned.to(torch.float64)).to(values.dtype)


def _shares(valid: Tensor, steps: int) -> Tensor:
    """Return (B, N, T), the share of each token in each step; lengths are in units of 1 / N, so they are whole."""
    counted = valid.to(torch.int64)
    length = counted.sum(1)[:, None, None]
    start = ((counted.cumsum(1) - counted) * steps)[:, None]  # (B, 1, T), where the token's N units begin
    step = torch.arange(steps, device=valid.device)[None, :, None]
    ends = torch.minimum(start + steps, (step + 1) * length)
    overlap = (ends - torch.maximum(start, step * length)).clamp(min=0) * counted[:, None]
    return overlap.to(torch.float64) / length.clamp(min=1)
