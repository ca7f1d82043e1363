"""Figures of how codes are used, from ids alone."""

import torch
from torch import Tensor


def usage(ids: Tensor, count: int) -> float:
    """Return the share of `count` codes that were hit by ids of any shape.

    Examples
    --------
    >>> usage(torch.tensor([[0, 3], [3, 3]]), 4)
    0.5
    """
    return float((_hits(ids, count) > 0).double().mean())


def perplexity(ids: Tensor, count: int) -> float:
    """Return exp of the entropy of the codes' shares: as many equally used codes would say as much; 0 without ids.

    Examples
    --------
    >>> round(perplexity(torch.tensor([0, 1, 2, 2]), 8), 4)  # 2 to the power of 1.5
    2.8284
    """
    hits = _hits(ids, count).double()
    if not hits.any():
        return 0.0
    return float(torch.special.entr(hits / hits.sum()).sum().exp())


def _hits(ids: Tensor, count: int) -> Tensor:
    return torch.bincount(ids.flatten(), minlength=count)
