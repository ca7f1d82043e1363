"""A scenario: how a labelled source is cut into a stream, and how splits are drawn."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from polymnia.data.samples import Samples
from polymnia.data.source import Dataset, Source
from polymnia.data.stage import Stage, Stream
from polymnia.errors import DataError
from polymnia.randomness import derive
from polymnia.registry import Registry

SPLITS = ("train", "valid", "test")


@dataclass(frozen=True, kw_only=True)
class Part:
    """What goes into one stage: rows of the data set, and which of their modalities are seen."""

    name: str
    rows: NDArray[np.int64]
    modalities: tuple[str, ...]
    task: str = "classification"


class Scenario(ABC):
    """A way to cut a data set into stages; one file in `data/scenarios/`."""

    name: ClassVar[str]

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """What a user may set."""

    def __init__(self, settings: Any = None, seed: int = 0) -> None:
        self.settings = self.Settings() if settings is None else settings
        self.seed = seed

    @abstractmethod
    def parts(self, dataset: Dataset, split: NDArray[np.str_]) -> Sequence[Part]:
        """Return the stages' parts in order; `split` says of each row whether it trains, validates or tests."""

    def random(self, *names: object) -> np.random.Generator:
        """Return a generator that depends on the stream's seed and these names only."""
        return np.random.default_rng(derive(self.seed, "scenario", self.name, *names))


SCENARIOS: Registry[type[Scenario]] = Registry("scenario", "polymnia.data.scenarios")
register = SCENARIOS.register


def cut(source: Source, scenario: Scenario, *, valid: float = 0.1, test: float = 0.2) -> Stream:
    """Return the stream that a scenario makes of a source.

    Parameters
    ----------
    source : Source
        What to cut.
    scenario : Scenario
        How to cut it; its seed also draws the splits and the class order.
    valid, test : float
        Shares of the samples, used where the source has no `split` column of its own.
    """
    dataset = source.load()
    split = splits(dataset.samples, valid=valid, test=test, seed=scenario.seed)
    parts = scenario.parts(dataset, split)
    order = arrival(dataset.samples.targets, parts, split)
    targets = torch.full((len(dataset.class_names) + 1,), -1)
    targets[torch.tensor(order, dtype=torch.int64)] = torch.arange(len(order))
    samples = replace(dataset.samples, targets=targets[dataset.samples.targets])  # -1 reads the last entry, also -1
    stages: list[Stage] = []
    for index, part in enumerate(parts):
        held = {name: samples.subset(part.rows[split[part.rows] == name]).only(part.modalities) for name in SPLITS}
        stages.append(
            Stage(
                index=index,
                name=part.name,
                task=part.task,
                modalities=held["train"].modalities,
                classes=tuple(c for c in held["train"].targets.unique().tolist() if c >= 0),
                earlier=tuple(stages),
                **held,
            )
        )
    return Stream(
        name=source.name,
        scenario=scenario.name,
        stages=tuple(stages),
        kinds={m: k for m, k in dataset.kinds.items() if any(m in s.modalities for s in stages)},
        class_names=tuple(dataset.class_names[c] for c in order),
        card=source.card,
        rejected=dataset.rejected,
    )


def arrival(targets: Tensor, parts: Sequence[Part], split: NDArray[np.str_]) -> list[int]:
    """Return the classes in the order in which training meets them (ties by number)."""
    order: list[int] = []
    for part in parts:
        rows = part.rows[split[part.rows] == "train"]
        order += [c for c in targets[torch.from_numpy(rows)].unique().tolist() if c >= 0 and c not in order]
    return order


def splits(samples: Samples, *, valid: float, test: float, seed: int) -> NDArray[np.str_]:
    """Return (N,) of "train", "valid" or "test"; a group is never parted, and each class is in all three if it can be.

    A `split` column of the samples is taken as it is; rows it leaves empty are drawn.
    """
    if valid < 0 or test < 0 or valid + test >= 1:
        raise DataError(f"valid={valid} and test={test}: shares must be at least 0 and leave some for training")
    given = samples.columns.get("split", np.full(len(samples), "", dtype="<U5")).astype("<U5")
    wrong = sorted(set(given.tolist()) - {*SPLITS, ""})
    if wrong:
        raise DataError(f"split column holds {wrong}; accepted: {', '.join(SPLITS)}, or empty")
    groups = samples.columns.get("group", np.full(len(samples), "", dtype=np.str_))
    groups = np.where(groups == "", np.char.add("id:", samples.ids), groups)
    drawn = given.copy()
    _settle_groups(groups, drawn)
    targets = samples.targets.numpy()
    for target in np.unique(targets):
        free = np.flatnonzero((targets == target) & (drawn == ""))
        names = np.unique(groups[free])
        np.random.default_rng(derive(seed, "split", int(target))).shuffle(names)
        goal = {"test": round(test * len(free)), "valid": round(valid * len(free))}
        held = dict.fromkeys(SPLITS, 0)
        for name in names:
            rows = np.flatnonzero((groups == name) & (drawn == ""))
            mine = int(np.isin(rows, free).sum())
            room = [s for s in ("test", "valid") if held[s] + mine <= goal[s]]
            choice = room[0] if room else "train"
            drawn[rows] = choice
            held[choice] += mine
    return drawn


def _settle_groups(groups: NDArray[np.str_], drawn: NDArray[np.str_]) -> None:
    """Give the free rows of a group the split its given rows have; a group given to two splits is an error."""
    for name in np.unique(groups[drawn != ""]):
        rows = np.flatnonzero(groups == name)
        have = sorted({s for s in drawn[rows].tolist() if s})
        if len(have) > 1:
            raise DataError(f"group {name!r} is in several splits ({', '.join(have)}); a group must stay on one side")
        drawn[rows] = have[0]
