"""Score a run on data that it never saw: retrieval across modalities, or accuracy over the classes that it knows."""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from polymnia import __version__
from polymnia.data.samples import Samples
from polymnia.data.source import Dataset
from polymnia.data.stage import Rejected
from polymnia.data.tokens import Tokens
from polymnia.errors import DataError, SettingsError
from polymnia.serving.classifying import Classified, classified, known_classes, labels
from polymnia.serving.content import displayed, load_source, whole_settings
from polymnia.serving.loading import Learned, load, weights_digest
from polymnia.serving.partners import Direction, couples, directions

log = logging.getLogger(__name__)

Progress = Callable[[str, int, int], None]
"""Gets (modality, done, total)."""
SPLITS = ("train", "valid", "test")


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What a run is worth on some data.

    Parameters
    ----------
    run, stage, weights : str
        The run folder, the stage, and the SHA-256 of its tensors.
    model, method : str
        Their names.
    data : dict
        The source's name and all its settings.
    split : str or None
        Which of the data's splits; None: all samples.
    samples : int
        How many there are.
    left_out : int
        Of these, those with one modality only, where partners are to be found, or whose class the run does not know.
    retrieval : tuple of Direction
        Of a model that is a space.
    classification : Classified or None
        Of a model that classifies.
    rejected : tuple of Rejected
        What could not be read, and why.
    """

    run: str
    stage: str
    weights: str
    model: str
    method: str
    data: dict[str, Any]
    split: str | None
    samples: int
    left_out: int
    retrieval: tuple[Direction, ...]
    classification: Classified | None
    rejected: tuple[Rejected, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON, with the version of this package."""
        names = ("run", "stage", "weights", "model", "method", "data", "split", "samples")
        rejected = [{"id": r.id, "modality": r.modality, "value": r.value, "reason": r.reason} for r in self.rejected]
        return {
            "polymnia": __version__,
            **{name: getattr(self, name) for name in names},
            "left out": self.left_out,
            "set aside": len(rejected),
            "retrieval": [way.to_json() for way in self.retrieval],
            "classification": None if self.classification is None else self.classification.to_json(),
            "rejected": rejected,
        }


def evaluate(
    folder: Path,
    data: Mapping[str, Any] | Dataset,
    *,
    stage: str | None = None,
    split: str | None = None,
    progress: Progress = lambda modality, done, total: None,
) -> Evaluation:
    """Score what a run has learned on samples that it need not have seen. Nothing in the run folder changes.

    *A model that is a space* is scored by exact retrieval by cosine, both ways, between every two modalities that
    samples have together, whether they were ever paired in training or not. Ties count against it, and so do vectors
    of zeros or NaN. Every distinct value is asked once and stands once among the candidates: values are the same if
    their content is, and texts if they differ in nothing but case and spaces. Whatever was observed together with a
    value is a right answer to it, and the best of them counts. So a title that twelve pictures have makes no right
    answer wrong (as it does in the probe `pairs` and in the score of a stage, where each of the twelve ranks at best
    second), and it is not asked twelve times; how much easier it is, is in `chance`, which is exact for these answers.
    With ten candidates or fewer, recall at 10 is 1 whatever the model does.

    *A model that classifies* is scored by accuracy over the samples whose class has the name of one that the run has
    learned by then; it chooses among all of these, and is given all modalities of a sample together.

    A value that cannot be read is set aside with its reason; a sample to be classified as a whole, as in training.

    Parameters
    ----------
    folder : Path
        A run folder.
    data : Mapping or Dataset
        A source's name and settings, or samples.
    stage : str, optional
        A finished one; the newest by default.
    split : str, optional
        Only samples that the data itself puts there, by its column `split`: "train", "valid" or "test".
    progress : callable, optional
        Gets (modality, done, total) while values are encoded.

    Raises
    ------
    StateError
        The folder is not a run, or its state is damaged.
    SettingsError
        There is no such stage or split, a setting of the source is wrong, or the model neither classifies nor is a
        space.
    DataError
        A modality was not learned, or is of another kind; no class is known, or no sample has two modalities; or
        nothing of that can be read.
    """
    learned = load(folder, stage=stage)
    space, classifies = _kinds_of_score(learned)
    dataset, about = (
        (data, {"name": "data"}) if isinstance(data, Dataset) else (load_source(data), whole_settings(data))
    )
    given = _of_split(dataset.samples, split)
    _check(given, dataset.kinds, learned)
    if not isinstance(data, Dataset):
        _warn_seen(data, learned)
    samples = given.subset(_worth(given, dataset.class_names, learned).nonzero().flatten())
    held = _Encoded(learned, samples, progress)
    names = labels(samples, dataset.class_names)
    return Evaluation(
        run=str(folder),
        stage=learned.stage,
        weights=weights_digest(folder, learned.stage),
        model=learned.method.model.name,
        method=learned.method.name,
        data=about,
        split=split,
        samples=len(given),
        left_out=len(given) - len(samples),
        retrieval=tuple(directions(learned, samples, held.tokens, held.pairs())) if space else (),
        classification=classified(learned, samples, held.tokens, names, held.whole()) if classifies else None,
        rejected=(*(one for one in dataset.rejected if one.broken), *held.rejected),
    )


class _Encoded:
    """The tokens of samples, and what of them could be read."""

    def __init__(self, learned: Learned, samples: Samples, progress: Progress) -> None:
        self.samples = samples
        self.tokens: dict[str, Tokens] = {}
        self.there: dict[str, Tensor] = {}
        self.rejected: list[Rejected] = []
        for m in samples.modalities:
            column, present = samples.values[m], samples.present[m]
            self.tokens[m], broken = learned.encode(m, column, present=present, progress=partial(progress, m))
            self.there[m] = present.clone()
            self.there[m][list(broken)] = False
            for row, reason in broken.items():
                shown = "" if isinstance(column, Tokens) else displayed(column[row])[:200]
                self.rejected.append(Rejected(str(samples.ids[row]), m, shown, reason))

    def pairs(self) -> dict[str, Tensor]:
        """Return modality → (N,) which values can be read; some sample has two of them."""
        if not couples(self.there):
            raise DataError(f"no sample has two modalities that can be read. First: {self._first()}")
        return self.there

    def whole(self) -> Tensor:
        """Return the rows of the samples of which everything can be read; at least one."""
        broken = [self.samples.present[m] & ~self.there[m] for m in self.there]
        rows = (~torch.stack(broken).any(0)).nonzero().flatten()
        if not len(rows):
            raise DataError(f"not one of {len(self.samples)} samples can be read. First: {self._first()}")
        return rows

    def _first(self) -> str:
        return next((f"{one.id} ({one.modality}): {one.reason}" for one in self.rejected), "nothing was given")


def _kinds_of_score(learned: Learned) -> tuple[bool, bool]:
    """Return whether the model is a space, and whether it classifies."""
    model = learned.method.model
    if not model.provides & {"space", "logits"}:
        raise SettingsError(
            f"{learned.folder}: model {model.name!r} neither classifies nor is a space, and nothing else can be scored "
            f"here. Accepted: models that provide logits or space, such as classifier and shared-space"
        )
    return "space" in model.provides, "logits" in model.provides


def _of_split(samples: Samples, split: str | None) -> Samples:
    if split is None:
        return samples
    held = samples.columns.get("split", np.array([], dtype=np.str_))
    there = [name for name in SPLITS if name in held]
    if split not in there:
        reason = f"it has {', '.join(there)}" if there else "it does not say of its samples which split they are in"
        raise SettingsError(f"--split: the data has no {split!r}: {reason}. Leave --split out for all samples")
    return samples.subset(np.flatnonzero(held == split).astype(np.int64))


def _check(samples: Samples, kinds: Mapping[str, str], learned: Learned) -> None:
    known = ", ".join(f"{m} ({kind})" for m, kind in sorted(learned.kinds.items()))
    by = f"{learned.folder} by stage {learned.stage}"
    strange = [f"{m} ({kinds[m]})" for m in samples.modalities if m not in learned.kinds]
    if strange:
        raise DataError(
            f"the data has {', '.join(strange)}, which was not learned in {by}.\nAccepted: {known}. Leave out what was "
            f"not learned, or give it the name it was learned by: settings of the data, such as modalities=[…]"
        )
    for m in samples.modalities:
        if kinds[m] != learned.kinds[m]:
            raise DataError(f"{m} is {kinds[m]} in the data, and another kind of signal in {by}.\nAccepted: {known}.")


def _warn_seen(data: Mapping[str, Any], learned: Learned) -> None:
    """Say that these may be no new samples, where the run learned from the same source."""
    stream = learned.settings.stream
    members = stream.get("sources", ()) if stream.get("name") == "together" else ()
    learned_from = [stream, *({"name": one} if isinstance(one, str) else one for one in members)]
    if any(one.get("name") == data["name"] and one.get("path") == data.get("path") for one in learned_from):
        log.warning(
            "%s learned from %s: it may have seen some of these samples, so that this is no score on new ones",
            learned.folder, data["name"],
        )  # fmt: skip


def _worth(samples: Samples, class_names: tuple[str, ...], learned: Learned) -> Tensor:
    """Return (N,) which samples can count: they have two modalities for a space, else a class that is known."""
    if "space" in learned.method.model.provides:
        if not couples(samples.present):
            held = ", ".join(samples.modalities)
            raise DataError(f"no sample has two modalities, so that none can find another; the data has {held}")
        return torch.stack([samples.present[m] for m in samples.modalities]).sum(0) > 1
    known, names = known_classes(learned), labels(samples, class_names)
    asked = torch.from_numpy(np.isin(names, sorted(known)))
    if not bool(asked.any()):
        raise DataError(
            f"no sample is of a class that {learned.folder} has learned by stage {learned.stage}; classes are told by "
            f"their names.\nAccepted: {_few(known)}. The data has {_few(set(names.tolist()) - {''})}"
        )
    return asked


def _few(names: Iterable[str], most: int = 20) -> str:
    ordered = sorted(names)
    return (", ".join(ordered[:most]) or "none") + (f" and {len(ordered) - most} more" if len(ordered) > most else "")
