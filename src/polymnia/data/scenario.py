"""A scenario: how a labelled source is cut into a stream."""

import re
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from polymnia.data.gaps import with_gaps
from polymnia.data.samples import Samples
from polymnia.data.source import Dataset, Source
from polymnia.data.splits import SPLITS, splits
from polymnia.data.stage import Rejected, Stage, Stream
from polymnia.errors import DataError, SettingsError, unknown
from polymnia.randomness import derive
from polymnia.registry import NoSettings, Registry

Rows = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Part:
    """What goes into one stage: rows of the data set, and which of their modalities are seen.

    Parameters
    ----------
    name : str
        Free text; `cut` numbers it and makes it fit for a folder.
    rows : NDArray
        Row numbers, each once. A row may be in several parts: its split is the same in all of them.
    modalities : tuple of str
        What is seen of the rows; rows that have none of it are left out.
    task : str
        What is to be produced.
    borrowed : Mapping
        Modality → (N,) row of the data set whose value each row shows in place of its own: for controls.
    """

    name: str
    rows: Rows
    modalities: tuple[str, ...]
    task: str = "classification"
    borrowed: Mapping[str, Rows] = field(default_factory=dict)


class Scenario(ABC):
    """A way to cut a data set into stages; one file in `data/scenarios/`, with a frozen dataclass `Settings`."""

    name: ClassVar[str]
    Settings: type[Any] = NoSettings

    def __init__(self, settings: Any = None, seed: int = 0) -> None:
        self.settings = self.Settings() if settings is None else settings
        self.seed = seed

    @abstractmethod
    def parts(self, dataset: Dataset, split: NDArray[np.str_]) -> Sequence[Part]:
        """Return the stages' parts in order; `split` says of each row whether it trains, validates or tests."""

    def random(self, *names: object) -> np.random.Generator:
        """Return a generator that depends on the stream's seed and these names only."""
        return np.random.default_rng(derive(self.seed, "scenario", self.name, *names))

    # what scenarios share -------------------------------------------------------------------------------------

    def ordered(self, given: Sequence[str], accepted: Sequence[str], *, what: str) -> list[str]:
        """Return `given` when it names everything accepted once; a drawn order when it is empty."""
        if not given:
            return [accepted[i] for i in self.random("order").permutation(len(accepted))]
        strange = [name for name in given if name not in accepted]
        if strange:
            raise SettingsError(f"stream.order: {unknown(what, strange[0], accepted)}")
        if sorted(given) != sorted(accepted):
            raise SettingsError(f"stream.order must name every {what} once: {', '.join(sorted(accepted))}")
        return list(given)

    def class_order(self, dataset: Dataset, split: NDArray[np.str_], given: Sequence[str] = ()) -> Rows:
        """Return the classes that have a training sample, in the given or a drawn order."""
        targets = dataset.samples.targets.numpy()
        trainable = np.unique(targets[(split == "train") & (targets >= 0)])
        number = {dataset.class_names[c]: c for c in trainable.tolist()}
        if not number:
            raise DataError(f"{self.name} needs labels, and no training sample has one")
        return np.array([number[name] for name in self.ordered(given, list(number), what="class")], dtype=np.int64)

    def share_out(self, classes: Rows, stages: int) -> list[Rows]:
        """Return the classes in `stages` groups of (nearly) equal size."""
        if not 1 <= stages <= len(classes):
            raise SettingsError(
                f"{self.name}: {len(classes)} classes cannot be cut into {stages} stages of at least one class each"
            )
        return np.array_split(classes, stages)


SCENARIOS: Registry[type[Scenario]] = Registry("scenario", "polymnia.data.scenarios")
register = SCENARIOS.register


def cut(
    source: Source,
    scenario: Scenario,
    *,
    valid: float = 0.1,
    test: float = 0.2,
    missing: float = 0.0,
    least: int = 2,
) -> Stream:
    """Return the stream that a scenario makes of a source.

    Splits are drawn once for the whole data set, so no sample and no group is on two sides, in whichever stages
    they are. Validation and test samples of a stage are those whose class is trained by then, seen through
    modalities that are trained in that stage. Samples that fit into no stage go to the stream's `rejected`.

    Parameters
    ----------
    source : Source
        What to cut.
    scenario : Scenario
        How to cut it; its seed also draws the splits and the class order.
    valid, test : float
        Shares of the samples, used where the source has no `split` column of its own.
    missing : float
        Share of the values that are taken away, at training and at test; each sample keeps one at least.
    least : int
        How many classes there must be; 1 for what is added to a model that knows others.

    Raises
    ------
    DataError
        A stage would have no training samples, or there are too few classes to learn.
    """
    dataset = source.load()
    samples = with_gaps(dataset.samples, missing, seed=scenario.seed)
    dataset = replace(dataset, samples=samples)
    _check(dataset, source.name)
    split = splits(samples, valid=valid, test=test, seed=scenario.seed)
    parts = scenario.parts(dataset, split)
    names = stage_names([part.name for part in parts])
    order: list[int] = []
    cuts = [_cut_part(samples, part, split, order, name) for part, name in zip(parts, names, strict=True)]
    if len(order) < least and all(part.task == "classification" for part in parts):
        raise DataError(f"{source.name} has {len(order)} classes with training samples; at least {least} are needed")
    targets = torch.full((len(dataset.class_names) + 1,), -1)
    targets[torch.tensor(order, dtype=torch.int64)] = torch.arange(len(order))
    renumbered = replace(samples, targets=targets[samples.targets])  # -1 reads the last entry, also -1
    stages: list[Stage] = []
    for part, name, (modalities, rows) in zip(parts, names, cuts, strict=True):
        shown = renumbered.borrowing(part.borrowed)
        train, valid_, test_ = (shown.subset(rows[side]).only(modalities) for side in SPLITS)
        stages.append(
            Stage(
                index=len(stages),
                name=name,
                task=part.task,
                modalities=modalities,
                classes=tuple(c for c in train.targets.unique().tolist() if c >= 0),
                train=train,
                valid=valid_,
                test=test_,
                earlier=tuple(stages),
            )
        )
    seen = {m for stage in stages for m in stage.modalities}
    return Stream(
        name=source.name,
        scenario=scenario.name,
        stages=tuple(stages),
        kinds={m: kind for m, kind in dataset.kinds.items() if m in seen},
        class_names=tuple(dataset.class_names[c] for c in order),
        card=source.card,
        rejected=(*dataset.rejected, *_left_out(dataset, parts, cuts, order, scenario.name)),
    )


Cut = tuple[tuple[str, ...], dict[str, Rows]]
"""The modalities that a stage trains, and its rows by split."""


def _check(dataset: Dataset, name: str) -> None:
    if not len(dataset.samples):
        raise DataError(f"{name} has no samples")
    ids, counts = np.unique(dataset.samples.ids, return_counts=True)
    if len(ids) < len(dataset.samples):
        twice = ids[counts > 1].tolist()
        raise DataError(f"duplicate sample ids: {', '.join(twice[:5])} ({len(twice)} in all); ids must be unique")
    targets, classes = dataset.samples.targets, len(dataset.class_names)
    if len(set(dataset.class_names)) < classes or int(targets.max()) >= classes or int(targets.min()) < -1:
        raise DataError(f"{name}: targets must be -1 or index its {classes} class names, and no two may be the same")


def _cut_part(samples: Samples, part: Part, split: NDArray[np.str_], order: list[int], name: str) -> Cut:
    """Return what one part becomes; classes met for the first time are added to `order`, lowest first."""
    targets = samples.targets.numpy()
    rows = part.rows if part.task != "classification" else part.rows[targets[part.rows] >= 0]
    train = rows[split[rows] == "train"]
    modalities = tuple(m for m in sorted(set(part.modalities)) if bool(samples.present[m].numpy()[train].any()))
    seen = _any_of(samples, modalities)
    if not seen[train].any():
        none = "it has no labelled samples" if part.task == "classification" else "no sample has all it needs"
        why = "all of its samples validate or test" if len(rows) else none
        why = f"none has {' or '.join(part.modalities) or 'a modality'}" if len(train) else why
        raise DataError(f"stage {name} would have no training samples: {why}")
    learned = np.unique(targets[train[seen[train]]])
    order += [c for c in learned.tolist() if c >= 0 and c not in order]
    usable = seen & np.isin(targets, [-1, *order])
    return modalities, {side: rows[(split[rows] == side) & usable[rows]] for side in SPLITS}


def _any_of(samples: Samples, modalities: Iterable[str]) -> NDArray[np.bool_]:
    has = np.zeros(len(samples), dtype=bool)
    for m in modalities:
        has |= samples.present[m].numpy()
    return has


def _left_out(
    dataset: Dataset, parts: Sequence[Part], cuts: Sequence[Cut], order: Sequence[int], scenario: str
) -> list[Rejected]:
    """Return the samples that no stage holds, and why."""
    samples, used = dataset.samples, np.zeros(len(dataset.samples), dtype=bool)
    labelled = all(part.task == "classification" for part in parts)
    for _, rows in cuts:
        for at in rows.values():
            used[at] = True
    left: list[Rejected] = []
    for row in np.flatnonzero(~used).tolist():
        target = int(samples.targets[row])
        label = dataset.class_names[target] if target >= 0 else ""
        if target < 0 and labelled:
            reason = "has no label"
        elif target < 0:
            reason = f"no stage of {scenario} can use the modalities that it has"
        elif target not in order:
            reason = f"its class {label!r} has no training sample"
        else:
            reason = f"no stage of {scenario} can use it: none trains its class by then and a modality that it has"
        left.append(Rejected(str(samples.ids[row]), "", label, reason, broken=False))
    return left


def stage_names(names: Sequence[str]) -> list[str]:
    """Return names that are unique and fit for a folder, in the order of the stages.

    Examples
    --------
    >>> stage_names(["apple pie/cake", "été", "été", "???"])
    ['01-apple-pie-cake', '02-été', '03-été', '04']
    """
    digits = max(2, len(str(len(names))))
    plain = [plain_name(name) for name in names]
    return [f"{number:0{digits}d}" + (f"-{name}" if name else "") for number, name in enumerate(plain, start=1)]


def plain_name(name: str) -> str:
    """Return a name without what a folder's name should not hold; nothing may be left of it.

    Examples
    --------
    >>> plain_name("Herbst / été 2026"), plain_name("../..")
    ('Herbst-été-2026', '')
    """
    return re.sub(r"[^\w+]+", "-", unicodedata.normalize("NFC", name))[:48].strip("-")
