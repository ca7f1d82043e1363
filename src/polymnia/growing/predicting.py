"""What a model says of new values: the likeliest classes, each with its probability."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from polymnia.data.modality import Raw
from polymnia.data.samples import Samples
from polymnia.errors import DataError, SettingsError
from polymnia.serving.loading import Learned


@dataclass(frozen=True)
class Prediction:
    """The likeliest classes of one thing, or why nothing can be said.

    Parameters
    ----------
    classes : tuple
        (name, probability), the likeliest first.
    broken : Mapping
        Modality → why its value cannot be read; what is left was looked at.
    """

    classes: tuple[tuple[str, float], ...]
    broken: Mapping[str, str]


def predictions(learned: Learned, values: Mapping[str, Sequence[Raw | None]], *, top: int = 3) -> list[Prediction]:
    """Return what a model says of N things.

    Parameters
    ----------
    learned : Learned
        Over a family that tells classes.
    values : Mapping
        Modality → N values, None where a thing lacks it.
    top : int
        How many classes to name.

    Raises
    ------
    DataError
        The columns differ in length, or there are none.
    SettingsError
        A modality was not learned, or the model tells no classes.
    """
    sizes = {modality: len(column) for modality, column in values.items()}
    if len(set(sizes.values())) != 1:
        raise DataError(f"every modality needs as many values as the others; given: {sizes or 'nothing'}")
    n = next(iter(sizes.values()))
    tokens, present, broken = {}, {}, [{} for _ in range(n)]
    for modality, column in values.items():
        held = np.empty(n, dtype=object)
        held[:] = list(column)
        there = torch.tensor([value is not None for value in column], dtype=torch.bool)
        tokens[modality], wrong = learned.encode(modality, held, present=there)
        for row, reason in wrong.items():
            there[row], broken[row][modality] = False, reason
        present[modality] = there
    ids = np.array([str(row) for row in range(n)])
    samples = Samples(ids, tokens, present, torch.full((n,), -1))
    rows = torch.stack(list(present.values())).any(0).nonzero().flatten()
    said = _said(learned, samples.subset(rows), top) if len(rows) else []
    by_row = dict(zip(rows.tolist(), said, strict=True))
    return [Prediction(by_row.get(row, ()), broken[row]) for row in range(n)]


def _said(learned: Learned, samples: Samples, top: int) -> list[tuple[tuple[str, float], ...]]:
    method = learned.method
    logits = torch.cat([method.predict(batch).logits for batch in method.batches(samples)]).float().cpu()
    if len(logits) != len(samples):
        raise SettingsError(
            f"{learned.folder}: model {method.model.name!r} tells no classes; ask it for what it writes"
        )
    shares, classes = logits.softmax(1).topk(min(top, logits.shape[1]), 1)
    names = learned.class_names
    return [
        tuple((names[c], p) for c, p in zip(row, share, strict=True))
        for row, share in zip(classes.tolist(), shares.tolist(), strict=True)
    ]
