"""Nearest codes, and sums of vectors by code: in pieces, so that many vectors times many codes fit in memory."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import one_hot

PIECE = 1 << 22
"""Distances that are held at once: 16 MiB of float32."""


class Nearest(NamedTuple):
    """For vectors (M, D): the ids (M,) of their nearest codes, and the distances (M,) to them."""

    ids: Tensor
    distances: Tensor


@torch.no_grad()
def nearest(vectors: Tensor, codes: Tensor) -> Nearest:
    """Return the nearest code of each vector by Euclidean distance; of equally near ones the oldest.

    Parameters
    ----------
    vectors : Tensor
        (M, D); compared in the precision of the codes, under autocast too.
    codes : Tensor
        (L, D), L ≥ 1.

    Examples
    --------
    >>> found = nearest(torch.tensor([[0.0, 3.0], [9.0, 1.0]]), torch.tensor([[0.0, 0.0], [9.0, 0.0]]))
    >>> found.ids.tolist(), found.distances.tolist()
    ([0, 1], [3.0, 1.0])
    """
    vectors = vectors.to(codes.dtype)
    with torch.autocast(vectors.device.type, enabled=False):
        lengths = codes.square().sum(1)
        pieces = vectors.split(max(1, PIECE // len(codes)))
        ids = [torch.addmm(lengths, piece, codes.T, alpha=-2).argmin(1) for piece in pieces]
    found = torch.cat(ids)
    # not from the product above: it loses all digits of a distance that is small beside the vectors
    return Nearest(found, torch.linalg.vector_norm(vectors - codes[found], dim=1))


def sums(vectors: Tensor, ids: Tensor, count: int) -> Tensor:
    """Return (count, D), for each id the sum of its vectors (M, D); the same bits at every call.

    Examples
    --------
    >>> sums(torch.tensor([[1.0], [2.0], [4.0]]), torch.tensor([2, 0, 2]), 3).flatten().tolist()
    [2.0, 0.0, 5.0]
    """
    total = vectors.new_zeros(count, vectors.shape[1])
    if not vectors.is_cuda:
        return total.index_add_(0, ids, vectors)
    with torch.autocast(
        "cuda", enabled=False
    ):  # a product: there, what `index_add_` returns depends on who comes first
        for piece, at in zip(vectors.split(PIECE // count + 1), ids.split(PIECE // count + 1), strict=True):
            total.addmm_(one_hot(at, count).to(vectors.dtype).T, piece)
    return total
