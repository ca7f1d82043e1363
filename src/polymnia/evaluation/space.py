"""What a shared space makes of a stream's samples after a stage: vectors and codes by modality, joined by sample."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from polymnia.data.samples import Samples
from polymnia.data.stage import Stage, Stream
from polymnia.methods.base import Method

SIZE = 256
Side = Literal["train", "test"]


@dataclass(frozen=True, kw_only=True)
class Clips:
    """The values of one modality: N of them.

    Parameters
    ----------
    ids : NDArray
        (N,) of their samples.
    targets : Tensor
        (N,) classes, -1 where there is none; the model never sees them.
    vectors : Tensor
        (N, D) continuous, the mean over steps.
    coded : Tensor
        (N, D) the mean over steps of the codes; the continuous vectors where there is no codebook.
    codes : Tensor, optional
        (N, steps) ids of the codes.
    """

    ids: NDArray[np.str_]
    targets: Tensor
    vectors: Tensor
    coded: Tensor
    codes: Tensor | None

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: NDArray[Any]) -> "Clips":
        """Return some rows, by number or by a mask."""
        at = torch.as_tensor(rows)
        codes = None if self.codes is None else self.codes[at]
        return Clips(ids=self.ids[rows], targets=self.targets[at], vectors=self.vectors[at], coded=self.coded[at],
                     codes=codes)  # fmt: skip


def has_space(method: Method) -> bool:
    """Whether the method's model is a shared space."""
    return "space" in method.model.provides


def mediator(method: Method) -> str | None:
    """Return the modality that all others are paired with, where the model has one."""
    return getattr(method.model.settings, "mediator", None)


@torch.inference_mode()
def clips(method: Method, samples: Samples, modality: str) -> Clips:
    """Return the clips of a modality, of the samples that have it; nothing else of them is looked at."""
    held = samples.only([modality])
    vectors, coded, codes = [], [], []
    model: Any = method.model
    with model.evaluating():
        for batch in method.batches(held, SIZE):
            vectors.append(method.predict(batch).representations[modality].float().cpu())
            quantised = model.quantised(batch) or {}
            if modality in quantised:
                coded.append(quantised[modality].vectors.float().mean(1).cpu())
                codes.append(quantised[modality].ids.cpu())
    whole = torch.cat(vectors) if vectors else torch.zeros(0, 0)
    return Clips(ids=held.ids, targets=held.targets, vectors=whole, coded=torch.cat(coded) if coded else whole,
                 codes=torch.cat(codes) if codes else None)  # fmt: skip


class Space:
    """The clips of the stages learned so far, each made once and when it is asked for.

    Parameters
    ----------
    method : Method
        Over a model that is a shared space.
    stream : Stream
        Encoded; of what comes after `stage` nothing is looked at.
    stage : Stage
        The last that was learned.
    """

    def __init__(self, method: Method, stream: Stream, stage: Stage) -> None:
        self.method, self.stages = method, stream.stages[: stage.index + 1]
        self._made: dict[tuple[int, Side, str], Clips] = {}

    @property
    def modalities(self) -> list[str]:
        """The modalities learned so far, sorted."""
        return sorted({m for stage in self.stages for m in stage.modalities})

    def pairs(self) -> list[tuple[str, str, bool]]:
        """Return every two modalities, and whether a stage held pairs of them."""
        return [(a, b, any({a, b} <= set(s.modalities) for s in self.stages))
                for a, b in combinations(self.modalities, 2)]  # fmt: skip

    def clips(self, place: int, side: Side, modality: str) -> Clips:
        """Return the clips of one stage."""
        key = (place, side, modality)
        if key not in self._made:
            self._made[key] = clips(self.method, getattr(self.stages[place], side), modality)
        return self._made[key]

    def all(self, side: Side, modality: str) -> Clips:
        """Return the clips of all stages; a sample that comes back counts once, as its first stage has it."""
        return _joined([self.clips(place, side, modality) for place in self._places(modality)])

    def both(self, a: str, b: str) -> tuple[Clips, Clips]:
        """Return the test clips of two modalities, row by row of the same sample.

        A stage's own pairs come first; then what is known of a sample from two stages, by its id: so modalities meet
        here that no stage held together.
        """
        found: list[tuple[Clips, Clips]] = []
        for place in self._places(a):
            if b in self.stages[place].test.modalities:
                found.append(_matched(self.clips(place, "test", a), self.clips(place, "test", b)))
        found.append(_matched(self.all("test", a), self.all("test", b)))
        return _joined([one for one, _ in found]), _joined([other for _, other in found])

    def _places(self, modality: str) -> list[int]:
        return [place for place, stage in enumerate(self.stages) if modality in stage.modalities]


def split_mean(rows: Sequence[tuple[bool, float]]) -> dict[str, float]:
    """Return the mean over pairs trained together and over those never paired, where there are some.

    Examples
    --------
    >>> split_mean([(True, 1.0), (True, 0.5), (False, 0.25)])
    {'seen': 0.75, 'unseen': 0.25}
    """
    groups = {"seen": [v for seen, v in rows if seen], "unseen": [v for seen, v in rows if not seen]}
    return {name: sum(values) / len(values) for name, values in groups.items() if values}


def _joined(parts: Sequence[Clips]) -> Clips:
    """Return the rows of all parts, of each sample the first."""
    held = [part for part in parts if len(part)] or list(parts[:1])
    codes = [part.codes for part in held if part.codes is not None]
    whole = Clips(
        ids=np.concatenate([part.ids for part in held]),
        targets=torch.cat([part.targets for part in held]),
        vectors=torch.cat([part.vectors for part in held]),
        coded=torch.cat([part.coded for part in held]),
        codes=torch.cat(codes) if codes else None,
    )
    return whole.take(np.sort(np.unique(whole.ids, return_index=True)[1]))


def _matched(one: Clips, other: Clips) -> tuple[Clips, Clips]:
    """Return the rows of the samples that are in both, in the order of their ids."""
    _, mine, theirs = np.intersect1d(one.ids, other.ids, assume_unique=True, return_indices=True)
    return one.take(mine), other.take(theirs)
