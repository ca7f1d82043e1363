"""Codes from vectors: rows drawn far from each other, and k-means from there."""

import torch
from torch import Generator, Tensor

from polymnia.layers.codebooks.nearest import nearest, sums

JITTER = 0.1
"""Standard deviation of the noise on a row that is drawn twice, in those of the vectors."""


def rows(among: int, count: int, *, generator: Generator) -> Tensor:
    """Return (count,) rows in random order, none twice before each was drawn once."""
    rounds = -(-count // among)
    return torch.cat([torch.randperm(among, generator=generator) for _ in range(rounds)])[:count]


def spread(vectors: Tensor, count: int, *, generator: Generator) -> Tensor:
    """Return (count, D) of the vectors (M, D), each drawn in proportion to its squared distance from those before.

    Where there are fewer different vectors than `count`, the others are random rows with some noise, so that no two
    are one place.

    Source: Arthur and Vassilvitskii 2007 (k-means++), section 2.2.

    Examples
    --------
    >>> far = torch.tensor([[0.0], [0.0], [0.0], [9.0]])
    >>> sorted(spread(far, 2, generator=torch.Generator().manual_seed(0)).flatten().tolist())
    [0.0, 9.0]
    """
    draws = torch.rand(count, generator=generator, dtype=torch.float64)
    chosen = [int(draws[0] * len(vectors))]
    apart = (vectors - vectors[chosen[0]]).square().sum(1)
    while len(chosen) < count:
        mass = apart.cpu().double().cumsum(0)  # on the CPU: a sum on a GPU may differ from call to call
        if not mass[-1] > 0:
            break
        row = int(torch.searchsorted(mass, draws[len(chosen)] * mass[-1], right=True))
        chosen.append(min(row, len(vectors) - 1))
        apart = torch.minimum(apart, (vectors - vectors[chosen[-1]]).square().sum(1))
    drawn = vectors[chosen]
    missing = count - len(chosen)
    if not missing:
        return drawn
    noise = torch.randn(missing, vectors.shape[1], generator=generator).to(vectors)
    scale = JITTER * vectors.std(0, correction=0)
    again = rows(len(vectors), missing, generator=generator).to(vectors.device)
    return torch.cat([drawn, vectors[again] + noise * scale])


def means(vectors: Tensor, count: int, *, steps: int = 10, generator: Generator) -> Tensor:
    """Return the centres (count, D) of vectors (M, D) by k-means; a centre without vectors stays.

    Parameters
    ----------
    steps : int
        Of Lloyd's algorithm.

    Examples
    --------
    >>> two = torch.tensor([[0.0], [2.0], [10.0], [12.0]])
    >>> sorted(means(two, 2, generator=torch.Generator().manual_seed(0)).flatten().tolist())
    [1.0, 11.0]
    """
    centres = spread(vectors, count, generator=generator)
    for _ in range(steps):
        ids = nearest(vectors, centres).ids
        hits = torch.bincount(ids, minlength=count)[:, None]
        centres = torch.where(hits > 0, sums(vectors, ids, count) / hits.clamp(min=1), centres)
    return centres
