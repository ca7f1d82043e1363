"""Run a network on inputs of one shape at a time, so that nothing is ever padded and no result depends on its batch."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor


def by_shape(inputs: Sequence[Mapping[str, Tensor]], run: Callable[..., Tensor], *, size: int) -> list[Tensor]:
    """Return `run` of inputs, one result an input, in their order.

    Inputs of equal shapes go together, and always `size` of them: where there are fewer, the first is repeated. So the
    network computes with the same shapes whatever a value's company is, and a result depends on its own input alone.
    This held to the last bit on the processors tried, on one thread and on two; where a library treats the rows of a
    matrix differently, the difference is about 1e-6 of a result's size. (Filling up matters: with fewer rows other
    kernels are chosen, and one text in ten changed in its last bit of float16.)

    Parameters
    ----------
    inputs : sequence of Mapping
        Name → tensor (...), without a batch axis.
    run : callable
        Gets the tensors (B, ...) by name, returns (B, T, d).
    size : int
        B.

    Examples
    --------
    >>> numbers = [{"x": torch.ones(2, 1)}, {"x": torch.ones(3, 1)}, {"x": torch.zeros(2, 1)}]
    >>> [tuple(result.shape) for result in by_shape(numbers, lambda x: x * 2, size=8)]
    [(2, 1), (3, 1), (2, 1)]
    """
    groups: dict[tuple[tuple[str, torch.Size], ...], list[int]] = {}
    for at, named in enumerate(inputs):
        groups.setdefault(tuple((name, value.shape) for name, value in sorted(named.items())), []).append(at)
    results: dict[int, Tensor] = {}
    for rows in groups.values():
        for first in range(0, len(rows), size):
            chosen = rows[first : first + size]
            filled = chosen + chosen[:1] * (size - len(chosen))
            batch = {name: torch.stack([inputs[at][name] for at in filled]) for name in inputs[chosen[0]]}
            results.update(zip(chosen, run(**batch), strict=False))
    return [results[at] for at in range(len(inputs))]
