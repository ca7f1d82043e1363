"""Samples that are there twice, or nearly: what must not stand on both sides of a split."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Twins:
    """Pairs of samples with the same or nearly the same content.

    Parameters
    ----------
    samples : int
        How many have an earlier twin.
    across : int
        How many pairs have their twins in different splits, or, where no splits are given, in no common group.
    conflicting : int
        How many pairs have different labels.
    examples : tuple
        Ids of the first pairs.
    """

    samples: int
    across: int
    conflicting: int
    examples: tuple[tuple[str, str], ...]


EXAMPLES = 20
"""Pairs that are named."""


class Places:
    """Where samples stand: by id, label, split and group."""

    def __init__(
        self, ids: NDArray[np.str_], columns: Mapping[str, NDArray[np.str_]], groups: NDArray[np.str_]
    ) -> None:
        self.ids, self.groups = ids, groups
        none = np.full(len(ids), "")
        self.labels = columns.get("label", none)
        self.splits = columns.get("split", none)

    def parted(self, a: int, b: int) -> bool:
        """Return whether two samples are, or may come to be, on two sides of a split."""
        if self.splits[a] and self.splits[b]:
            return bool(self.splits[a] != self.splits[b])
        return bool(self.groups[a] != self.groups[b])


def twins(pairs: Iterable[tuple[int, int]], places: Places) -> Twins:
    """Return what is to be said of pairs of rows."""
    each = sorted(set(pairs))
    return Twins(
        samples=len({b for _, b in each}),
        across=sum(places.parted(a, b) for a, b in each),
        conflicting=sum(bool(places.labels[a] != places.labels[b]) for a, b in each),
        examples=tuple((str(places.ids[a]), str(places.ids[b])) for a, b in each[:EXAMPLES]),
    )


def same(content: Mapping[int, frozenset[tuple[str, str]]]) -> set[tuple[int, int]]:
    """Return pairs of rows with equal content, each with the one before it.

    Parameters
    ----------
    content : Mapping
        Row → (modality, digest) of all its values.
    """
    rows: dict[frozenset[tuple[str, str]], list[int]] = {}
    for row, held in content.items():
        rows.setdefault(held, []).append(row)
    return {pair for equal in rows.values() for pair in pairwise(equal)}
