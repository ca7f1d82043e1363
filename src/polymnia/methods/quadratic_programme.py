"""A small quadratic programme over nonnegative numbers, solved exactly by active sets."""

import torch
from torch import Tensor


def nonnegative(p: Tensor, c: Tensor) -> Tensor:
    """Return the v (k,) ≥ 0 that makes ``½ vᵀ P v + cᵀ v`` smallest.

    Parameters
    ----------
    p : Tensor
        (k, k), symmetric and positive definite.
    c : Tensor
        (k,).

    Source: Lawson and Hanson 1974, algorithm NNLS, in its form for P and c.

    Examples
    --------
    >>> nonnegative(torch.eye(2), torch.tensor([-3.0, 2.0])).tolist()
    [3.0, 0.0]
    """
    given, (p, c) = c, (p.double().cpu(), c.double().cpu())
    v, free = torch.zeros_like(c), torch.zeros_like(c, dtype=torch.bool)
    least = 1e-10 * float(c.abs().max()) if len(c) else 0.0
    for _ in range(10 * len(c)):  # each set of free numbers comes once; a bound in case that rounding goes in a circle
        wanted = (-(c + p @ v)).masked_fill(free, -torch.inf)
        if float(wanted.max()) <= least:
            break
        free[wanted.argmax()] = True
        while True:
            best = torch.zeros_like(v)
            best[free] = torch.linalg.solve(p[free][:, free], -c[free])
            low = free & (best <= 0)
            if not bool(low.any()):
                v = best
                break
            step = (v[low] / (v[low] - best[low])).min()  # as far as none falls below 0
            v = (v + step * (best - v)).clamp(min=0)
            free &= ~(low & (v <= 1e-12 * v.abs().max()))
            v[~free] = 0
    return v.to(given)
