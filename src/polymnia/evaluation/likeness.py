"""How unlike each other pictures of one concept are, and how like real pictures of the same concept."""

from collections.abc import Sequence
from statistics import fmean

import torch
from torch import Tensor
from torch.nn.functional import normalize


def diversity(vectors: Tensor, concepts: Sequence[str]) -> float | None:
    """Return the mean distance between two vectors (N, D) of one concept, each concept counting alike.

    None where no concept has two vectors.

    Examples
    --------
    >>> diversity(torch.tensor([[0.0], [2.0], [9.0]]), ["dot", "dot", "star"])
    2.0
    """
    found = [
        float(torch.pdist(vectors[rows].double()).mean()) for rows in _by_concept(concepts).values() if len(rows) > 1
    ]
    return fmean(found) if found else None


def alignment(vectors: Tensor, concepts: Sequence[str], real: Tensor, of_real: Sequence[str]) -> float | None:
    """Return the mean cosine between a vector (N, D) and all real ones (M, D) of the same concept.

    The released code of MoDE compares with all real pictures, whatever they show, which hardly tells methods apart.
    None where no concept is shared.

    Source: Wei et al. 2025, image alignment; matched by concept, as the specification's section 5, row 15 has it.

    Examples
    --------
    >>> real = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> alignment(torch.tensor([[3.0, 4.0], [5.0, 0.0]]), ["dot", "dot"], real, ["dot", "star"])
    0.8
    """
    there, one, other = _by_concept(of_real), normalize(vectors.double(), dim=1), normalize(real.double(), dim=1)
    means = {concept: other[rows].mean(0) for concept, rows in there.items()}
    found = [float(row @ means[concept]) for row, concept in zip(one, concepts, strict=True) if concept in means]
    return fmean(found) if found else None


def _by_concept(concepts: Sequence[str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for row, concept in enumerate(concepts):
        found.setdefault(concept, []).append(row)
    return found
