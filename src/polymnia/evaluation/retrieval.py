"""Exact retrieval between two sets of vectors whose rows belong together, in chunks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

CHUNK = 2048
"""Rows and columns of similarities that are held at once: 32 MiB of float64."""
TIE = 1e-12
"""Similarities this near are equal: the last bits of a sum depend on how it was cut."""


@dataclass(frozen=True)
class Retrieval:
    """What was found among N candidates: `recall[k]`, the share of queries with a right one in the first k."""

    recall: dict[int, float]
    median_rank: float
    of: int


def retrieved(a: Tensor, b: Tensor, *, ks: Sequence[int] = (1, 5, 10), keys: NDArray[np.str_] | None = None,
              chunk: int = CHUNK) -> tuple[Retrieval, Retrieval]:  # fmt: skip
    """Return how well rows of `a` (N, D) find their partners in `b` (N, D) by cosine, and rows of `b` theirs in `a`.

    Parameters are those of `ranks`. With N ≤ k the recall at k is 1 whatever the vectors are: read it beside `of`.

    Examples
    --------
    >>> there, back = retrieved(torch.eye(3), torch.eye(3)[[0, 2, 1]], ks=(1, 3))
    >>> there
    Retrieval(recall={1: 0.3333333333333333, 3: 1.0}, median_rank=3.0, of=3)
    """
    return _summary(ranks(a, b, keys=keys, chunk=chunk), ks), _summary(ranks(b, a, keys=keys, chunk=chunk), ks)


def ranks(queries: Tensor, candidates: Tensor, *, keys: NDArray[np.str_] | None = None, chunk: int = CHUNK) -> Tensor:
    """Return (N,) for each query the rank of its partner: 1 + the candidates that are not less similar than it.

    Ties count against us, so a model whose outputs are all alike ranks last, not first; so do vectors of zeros, which
    are alike to everything, and vectors with NaN. At most ``chunk²`` similarities are in memory.

    Parameters
    ----------
    queries, candidates : Tensor
        (N, D); row i of one belongs to row i of the other.
    keys : NDArray, optional
        (N,) equal for rows that say the same. Where several rows have one partner value (one caption for two images),
        the right candidate cannot be told from the other and each of them ranks at best second: without keys such
        rows lower every score. With keys, the most similar candidate of the query's key is the right one, and
        only candidates of other keys stand before it.

    Raises
    ------
    ValueError
        The sets have different shapes, or not one key a row.

    Examples
    --------
    >>> same = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> ranks(same, same).tolist(), ranks(same, same, keys=np.array(["a", "a", "b"])).tolist()
    ([2, 2, 1], [1, 1, 1])
    """
    if queries.ndim != 2 or queries.shape != candidates.shape:
        raise ValueError(f"queries {tuple(queries.shape)} and candidates {tuple(candidates.shape)}: (N, D) both, one N")
    if keys is not None and len(keys) != len(queries):
        raise ValueError(f"{len(keys)} keys for {len(queries)} rows: one a row is needed")
    one, other = _unit(queries), _unit(candidates)
    rows = torch.arange(len(one), device=one.device)
    # without keys each row is the only one of its own
    numbers = rows if keys is None else torch.as_tensor(np.unique(keys, return_inverse=True)[1], device=one.device)
    found = []
    for mine in rows.split(chunk):
        right = (one[mine] * other[mine]).sum(1) if keys is None else _best(one, other, numbers, mine, chunk)
        before = torch.ones_like(mine)
        for theirs in rows.split(chunk):
            strange = numbers[mine][:, None] != numbers[theirs]
            less = one[mine] @ other[theirs].T < right[:, None] - TIE  # never true of NaN
            before += (strange & ~less).sum(1)
        found.append(before)
    return torch.cat(found).cpu() if found else torch.zeros(0, dtype=torch.int64)


def retrieved_distinct(a: Tensor, b: Tensor, right: Tensor, *, ks: Sequence[int] = (1, 5, 10),
                       chunk: int = CHUNK) -> tuple[Retrieval, Retrieval]:  # fmt: skip
    """Return how well distinct values `a` (N, D) find theirs in distinct values `b` (M, D) by cosine, and the way back.

    `retrieved` for values of which some belong to several: a title that two pictures have is asked once, and each of
    its pictures is a right answer.

    Parameters
    ----------
    a, b : Tensor
        (N, D) and (M, D), each value once.
    right : Tensor
        (P, 2) which row of `a` belongs to which row of `b`; each row is in at least one.
    ks : sequence of int
        For recall.
    chunk : int
        Rows and columns at once.

    Raises
    ------
    ValueError
        The vectors differ in width, or a row belongs to none.

    Examples
    --------
    >>> titles, pictures = torch.eye(2), torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]])
    >>> retrieved_distinct(titles, pictures, torch.tensor([[0, 0], [0, 1], [1, 2]]), ks=(1,))[0]
    Retrieval(recall={1: 1.0}, median_rank=1.0, of=3)
    """
    there = ranks_of_right(a, b, right, chunk=chunk)
    back = ranks_of_right(b, a, right.flip(1), chunk=chunk)
    return _summary(there, ks, of=len(b)), _summary(back, ks, of=len(a))


def ranks_of_right(queries: Tensor, candidates: Tensor, right: Tensor, *, chunk: int = CHUNK) -> Tensor:
    """Return (N,) for each query the rank of the best of its right candidates: 1 + the wrong ones not less similar.

    Ties count against us as in `ranks`; parameters are those of `retrieved_distinct`.

    Examples
    --------
    >>> right = torch.tensor([[0, 0], [0, 2], [1, 1]])
    >>> ranks_of_right(torch.eye(2), torch.tensor([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), right).tolist()
    [2, 3]
    """
    if queries.ndim != 2 or candidates.ndim != 2 or queries.shape[1] != candidates.shape[1]:
        raise ValueError(f"queries {tuple(queries.shape)} and candidates {tuple(candidates.shape)}: (N, D) and (M, D)")
    if len(right[:, 0].unique()) != len(queries):
        raise ValueError(f"{len(queries)} queries, of which {len(right[:, 0].unique())} have a right candidate")
    one, other = _unit(queries), _unit(candidates)
    rows, columns = torch.arange(len(one)), torch.arange(len(other))
    found = []
    for mine in rows.split(chunk):
        best, before = one.new_full((len(mine),), -torch.inf), torch.ones_like(mine)
        for theirs in columns.split(chunk):
            wrong = ~_belongs(right, mine, theirs)
            best = torch.maximum(best, (one[mine] @ other[theirs].T).masked_fill(wrong, -torch.inf).amax(1))
        for theirs in columns.split(chunk):
            less = one[mine] @ other[theirs].T < best[:, None] - TIE  # never true of NaN
            before += (~_belongs(right, mine, theirs) & ~less).sum(1)
        found.append(before)
    return torch.cat(found) if found else torch.zeros(0, dtype=torch.int64)


def _belongs(right: Tensor, mine: Tensor, theirs: Tensor) -> Tensor:
    """Return (M, T) which of consecutive queries belongs to which of consecutive candidates."""
    held = torch.zeros(len(mine), len(theirs), dtype=torch.bool)
    at = right - torch.stack([mine[0], theirs[0]])
    at = at[((at >= 0) & (at < torch.tensor(held.shape))).all(1)]
    held[at[:, 0], at[:, 1]] = True
    return held


def chance(right: Tensor, *, of: int, k: int) -> float:
    """Return the expected recall at k of an order drawn at random.

    Parameters
    ----------
    right : Tensor
        (N,) how many right candidates each query has.
    of : int
        How many candidates there are.
    k : int
        How many are looked at.

    Examples
    --------
    >>> [round(chance(torch.tensor(right), of=4, k=2), 3) for right in ([1, 1], [2], [3])]
    [0.5, 0.833, 1.0]
    """
    wrong, missed = (of - right).double(), torch.ones(len(right), dtype=torch.float64)
    for drawn in range(min(k, of)):
        missed *= (wrong - drawn).clamp(min=0) / (of - drawn)
    return float((1 - missed).mean())


def _best(one: Tensor, other: Tensor, numbers: Tensor, mine: Tensor, chunk: int) -> Tensor:
    """Return (M,) the highest similarity of queries `mine` to a candidate of the same key."""
    best = one.new_full((len(mine),), -torch.inf)
    for theirs in torch.arange(len(other), device=other.device).split(chunk):
        similar = one[mine] @ other[theirs].T
        apart = numbers[mine][:, None] != numbers[theirs]
        best = torch.maximum(best, similar.masked_fill(apart, -torch.inf).amax(1))
    return best


def _unit(vectors: Tensor) -> Tensor:
    """Return vectors of length 1 in float64, where products of float32 are exact; zeros stay."""
    wide = vectors.detach().double()
    return wide / wide.norm(dim=1, keepdim=True).clamp(min=torch.finfo(torch.float64).tiny)


def _summary(found: Tensor, ks: Sequence[int], *, of: int | None = None) -> Retrieval:
    recall = {k: float((found <= k).double().mean()) if len(found) else float("nan") for k in ks}
    median = float(np.median(found.numpy())) if len(found) else float("nan")
    return Retrieval(recall, median, len(found) if of is None else of)
