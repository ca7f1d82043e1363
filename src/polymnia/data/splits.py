"""Splits: which samples train, which validate and which test; a group is never parted."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from polymnia.data.samples import Samples
from polymnia.errors import DataError
from polymnia.randomness import derive

SPLITS = ("train", "valid", "test")
TRAIN, VALID, TEST, FREE = 0, 1, 2, -1


def splits(samples: Samples, *, valid: float, test: float, seed: int) -> NDArray[np.str_]:
    """Return (N,) of "train", "valid" or "test".

    A group (column `group`; where it is empty, the sample alone) is never parted. Each class keeps its largest
    group for training, so that it can be learned; then it is put into test and into validation as far as it has
    groups enough, and close to the shares without exceeding them. A `split` column is taken as it is; samples it
    leaves empty are drawn. A group's luck depends on its name and the seed only, not on the other samples' order.

    Parameters
    ----------
    samples : Samples
        With targets, -1 where there is none.
    valid, test : float
        Shares of each class.
    seed : int
        Of the draw.

    Raises
    ------
    DataError
        The shares leave nothing for training, the `split` column holds another word, or it parts a group.
    """
    if not (valid >= 0 and test >= 0 and valid + test < 1):
        raise DataError(f"valid={valid} and test={test}: shares must be at least 0 and leave some for training")
    names, group = np.unique(group_names(samples), return_inverse=True)
    label = np.unique(samples.targets.numpy(), return_inverse=True)[1]
    draw = _Draw.of(group, label, _settled(_given(samples), group, names))
    lucky = np.argsort([derive(seed, "split", name) for name in names.tolist()], kind="stable").tolist()
    draw.run(lucky, {TEST: test, VALID: valid})
    return np.array(SPLITS)[np.array(draw.place, dtype=np.int64)[group]]


def group_names(samples: Samples) -> NDArray[np.str_]:
    """Return (N,) names of what no split parts: the group, or the sample alone where it has none."""
    alone = np.char.add("id:", samples.ids)
    if "group" not in samples.columns:
        return alone
    group = samples.columns["group"]
    return np.where(group == "", alone, np.char.add("group:", group))


def _given(samples: Samples) -> NDArray[np.int64]:
    """Return the split that the data states, by number, FREE where it states none."""
    column = samples.columns.get("split", np.full(len(samples), ""))
    wrong = sorted(set(np.unique(column).tolist()) - {*SPLITS, ""})
    if wrong:
        raise DataError(
            f"split column holds {', '.join(map(repr, wrong[:5]))}; accepted: {', '.join(SPLITS)}, or empty"
        )
    given = np.full(len(samples), FREE)
    for number, name in enumerate(SPLITS):
        given[column == name] = number
    return given


def _settled(given: NDArray[np.int64], group: NDArray[np.int64], names: NDArray[np.str_]) -> NDArray[np.int64]:
    """Return each group's given split: the free samples of a group follow its given ones."""
    highest = np.full(len(names), FREE)
    np.maximum.at(highest, group, given)
    lowest = np.full(len(names), len(SPLITS))
    np.minimum.at(lowest, group[given != FREE], given[given != FREE])
    parted = np.flatnonzero((highest != FREE) & (lowest != highest))
    if len(parted):
        name = str(names[parted[0]]).partition(":")[2]
        both = f"{SPLITS[lowest[parted[0]]]} and {SPLITS[highest[parted[0]]]}"
        raise DataError(f"group {name!r} is in several splits ({both}); a group must stay on one side")
    return highest


@dataclass
class _Draw:
    """The state of one draw; groups and classes by number."""

    content: list[list[tuple[int, int]]]
    """Group → its (class, number of samples)."""
    members: list[list[int]]
    """Class → its groups."""
    place: list[int]
    """Group → its split."""
    held: list[list[int]]
    """Split → class → number of samples."""
    drawn: set[int] = field(default_factory=set)
    """Groups that may still be moved: placed by the draw, and not kept for training."""

    @classmethod
    def of(cls, group: NDArray[np.int64], label: NDArray[np.int64], settled: NDArray[np.int64]) -> "_Draw":
        classes = int(label.max()) + 1 if len(label) else 0
        cells, counts = np.unique(group * max(classes, 1) + label, return_counts=True)
        draw = cls(
            [[] for _ in settled], [[] for _ in range(classes)], [FREE] * len(settled), [[0] * classes for _ in SPLITS]
        )
        for cell, count in zip(cells.tolist(), counts.tolist(), strict=True):
            draw.content[cell // classes].append((cell % classes, count))
            draw.members[cell % classes].append(cell // classes)
        for number, split in enumerate(settled.tolist()):
            if split != FREE:
                draw.put(number, split)
        return draw

    def put(self, group: int, split: int) -> None:
        before, self.place[group] = self.place[group], split
        for c, count in self.content[group]:
            self.held[split][c] += count
            if before != FREE:
                self.held[before][c] -= count

    def run(self, lucky: list[int], shares: dict[int, float]) -> None:
        """Place every free group; `lucky` is the drawn order of groups."""
        rank = {group: at for at, group in enumerate(lucky)}
        for groups in self.members:
            groups.sort(key=rank.__getitem__)
        rarest = sorted(range(len(self.members)), key=lambda c: (len(self.members[c]), c))
        sizes = [sum(dict(self.content[g])[c] for g in groups) for c, groups in enumerate(self.members)]
        goals = {split: [round(share * size) for size in sizes] for split, share in shares.items()}
        for c in rarest:
            self.keep_for_training(c)
        for group in lucky:
            if self.place[group] == FREE:
                self.put(group, next((s for s in goals if self.fits(group, s, goals[s])), TRAIN))
                self.drawn.add(group)
        for split, share in shares.items():
            for c in rarest if share else ():
                self.reach(c, split)

    def keep_for_training(self, c: int) -> None:
        free = [g for g in self.members[c] if self.place[g] == FREE]
        if free and not self.held[TRAIN][c]:
            self.put(max(free, key=lambda g: dict(self.content[g])[c]), TRAIN)

    def fits(self, group: int, split: int, goal: list[int]) -> bool:
        return all(self.held[split][c] + count <= goal[c] for c, count in self.content[group])

    def reach(self, c: int, split: int) -> None:
        """Move the smallest movable group of a class, from training if possible, into a split that has none of it."""
        movable = [g for g in self.members[c] if g in self.drawn and self.can_leave(g)]
        if movable and not self.held[split][c]:
            self.put(min(movable, key=lambda g: (self.place[g] != TRAIN, self.size(g))), split)

    def can_leave(self, group: int) -> bool:
        """Return whether its place still holds all of the group's classes without it (training always does)."""
        place = self.place[group]
        return place == TRAIN or all(self.held[place][c] > count for c, count in self.content[group])

    def size(self, group: int) -> int:
        return sum(count for _, count in self.content[group])
