"""How well values of one modality find those of another that they were observed with, on data from anywhere."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from polymnia.data.modality import digest
from polymnia.data.samples import Column, Samples
from polymnia.data.tokens import Tokens
from polymnia.evaluation.retrieval import chance, retrieved_distinct
from polymnia.serving.loading import Learned

KS = (1, 5, 10)
K = 10
"""The k whose recall by chance is said."""


@dataclass(frozen=True, kw_only=True)
class Direction:
    """How well values of one modality find those of another.

    Parameters
    ----------
    asked, found : str
        Modalities of queries and of candidates.
    paired : bool
        Whether a stage held both, so that the run may have learned from pairs of them.
    pairs : int
        Samples that have both.
    queries, candidates : int
        Distinct values among these, of either modality.
    recall : dict
        k → the share of queries with a right candidate among the first k.
    chance : float
        The recall at 10 of an order drawn at random.
    median_rank : float
        Of the best right candidate.
    """

    asked: str
    found: str
    paired: bool
    pairs: int
    queries: int
    candidates: int
    recall: dict[int, float]
    chance: float
    median_rank: float

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        recalls = {f"R@{k}": share for k, share in self.recall.items()}
        return {"from": self.asked, "to": self.found, "paired": self.paired, "pairs": self.pairs,
                "queries": self.queries, "candidates": self.candidates, **recalls, f"chance R@{K}": self.chance,
                "median rank": self.median_rank}  # fmt: skip


def couples(there: Mapping[str, Tensor]) -> list[tuple[str, str]]:
    """Return every two modalities that some sample has together; `there` is modality → (N,) bool.

    Examples
    --------
    >>> couples({"a": torch.tensor([True, False]), "b": torch.tensor([True, True]), "c": torch.tensor([False, True])})
    [('a', 'b'), ('b', 'c')]
    """
    return [(a, b) for a, b in combinations(sorted(there), 2) if bool((there[a] & there[b]).any())]


def directions(
    learned: Learned, samples: Samples, tokens: Mapping[str, Tokens], there: Mapping[str, Tensor]
) -> list[Direction]:
    """Return both directions between every two modalities that samples have together.

    Parameters
    ----------
    learned : Learned
        Over a model that is a space.
    samples : Samples
        N raw ones.
    tokens : Mapping
        Modality → the tokens of its N values.
    there : Mapping
        Modality → (N,) which samples have it, and it could be read.
    """
    between = couples(there)
    values = {m: distinct(samples.values[m], there[m]) for m in sorted({m for couple in between for m in couple})}
    vectors = {m: learned.represent(m, tokens[m], first) for m, (_, first) in values.items()}
    found = []
    for a, b in between:
        rows = (there[a] & there[b]).nonzero().flatten()
        (mine, one), (theirs, other) = (values[m][0][rows].unique(return_inverse=True) for m in (a, b))
        right = torch.stack([one, other], 1).unique(dim=0)
        ways = retrieved_distinct(vectors[a][mine], vectors[b][theirs], right, ks=KS)
        paired = any({a, b} <= set(outline.modalities) for outline in learned.method.model.grown)
        for side, (asked, wanted, way) in enumerate(zip((a, b), (b, a), ways, strict=True)):
            answers = right[:, side].bincount()
            by_chance = chance(answers, of=way.of, k=K)
            found.append(
                Direction(asked=asked, found=wanted, paired=paired, pairs=len(rows), queries=len(answers),
                          candidates=way.of, recall=way.recall, chance=by_chance, median_rank=way.median_rank)
            )  # fmt: skip
    return found


def distinct(column: Column, there: Tensor) -> tuple[Tensor, Tensor]:
    """Return (N,) the number of each row's value, -1 where there is none, and (V,) the first row of each value.

    Values are the same if their content is, and texts if they differ in nothing but case and spaces.

    Examples
    --------
    >>> distinct(np.array(["a frog", "A  frog", "", "b"], dtype=object), torch.tensor([True, True, False, True]))[0]
    tensor([ 0,  0, -1,  1])
    """
    rows = there.nonzero().flatten()
    raw: NDArray[Any] = np.asarray(column)
    place: dict[str, int] = {}
    numbers = [place.setdefault(_name(raw[row]), len(place)) for row in rows.tolist()]
    found = torch.full((len(there),), -1, dtype=torch.int64)
    found[rows] = torch.tensor(numbers, dtype=torch.int64)
    first: dict[int, int] = {}
    for row, number in zip(rows.tolist(), numbers, strict=True):
        first.setdefault(number, row)
    return found, torch.tensor(list(first.values()), dtype=torch.int64)


def _name(value: Any) -> str:
    return digest(" ".join(value.split()).casefold() if isinstance(value, str) else value)
