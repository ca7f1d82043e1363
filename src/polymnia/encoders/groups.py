"""Run a network on inputs of one shape at a time, so that nothing is ever padded and no result depends on its batch."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def by_shape(
    inputs: Sequence[Tensor],
    run: Callable[[Tensor], Tensor],
    *,
    size: int,
    out: Callable[[Tensor], Tensor] | None = None,
) -> list[Tensor]:
    """Return `run` of inputs, one result an input, in their order.

    Inputs of equal shape go together, at most `size` at a time. Rows of a matrix product do not see each other, so a
    result depends on its own input alone: to the last bit on the processors tried, and to about 1e-6 of
    its size where a library chooses another kernel for another number of rows.

    Parameters
    ----------
    inputs : sequence of Tensor
        Each (...).
    run : callable
        (B, ...) → (B, T, d).
    size : int
        Largest B.
    out : callable, optional
        What to do with each result (T, d).
    """
    groups: dict[torch.Size, list[int]] = {}
    for at, value in enumerate(inputs):
        groups.setdefault(value.shape, []).append(at)
    results: list[Tensor] = [torch.empty(0)] * len(inputs)
    for rows in groups.values():
        for first in range(0, len(rows), size):
            chosen = rows[first : first + size]
            for at, result in zip(chosen, run(torch.stack([inputs[i] for i in chosen])), strict=True):
                results[at] = result if out is None else out(result)
    return results
