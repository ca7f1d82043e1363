"""The streams that are measured: digits made large, and a toy with many stages."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from polymnia.data.samples import Samples
from polymnia.data.stage import Stage
from polymnia.data.tokens import Tokens

SIDE, PER_CLASS, PER_STAGE, STAGES = 28, 1200, 2, 5


def digits() -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return (x, y) to train on, 12,000 scans (N, 784), and (x, y) to test on.

    scikit-learn's 1,797 digits of 8 × 8, made 28 × 28 by bilinear interpolation. Every sixth scan of a class is kept
    for the test. The others are repeated to 1,200 a class, each repeat shifted by -2 to 2 pixels in both directions,
    drawn from a fixed seed. Nothing is downloaded, and the result is the same everywhere.
    """
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    scans = torch.from_numpy(images / 16).float().view(-1, 1, 8, 8)
    scans = interpolate(scans, size=(SIDE, SIDE), mode="bilinear", align_corners=False)[:, 0]
    draw = torch.Generator().manual_seed(0)
    train, test = [], []
    for label in range(10):
        rows = torch.from_numpy(np.flatnonzero(labels == label))
        held = torch.arange(len(rows)) % 6 == 5
        test.append(rows[held])
        kept = rows[~held]
        train.append(kept[torch.arange(PER_CLASS) % len(kept)])
    at = torch.cat(train)
    shifts = torch.randint(-2, 3, (len(at), 2), generator=draw).tolist()
    moved = [torch.roll(scan, shift, (0, 1)) for scan, shift in zip(scans[at], shifts, strict=True)]
    y = torch.from_numpy(labels.astype(np.int64))
    away = torch.cat(test)
    return (torch.stack(moved).flatten(1), y[at]), (scans[away].flatten(1), y[away])


def as_samples(x: Tensor, y: Tensor, prefix: str) -> Samples:
    """Return ready vectors (N, d) as encoded samples of one modality."""
    ids = np.char.add(prefix, np.arange(len(y)).astype(np.str_))
    everywhere = torch.ones(len(y), dtype=torch.bool)
    return Samples(ids, {"pixels": Tokens.dense(x.unsqueeze(1).contiguous())}, {"pixels": everywhere}, y)


def as_stages(x: Tensor, y: Tensor) -> tuple[Stage, ...]:
    """Return five stages of two classes each, without validation and test sets: only training is measured."""
    stages: list[Stage] = []
    for index in range(STAGES):
        classes = tuple(range(index * PER_STAGE, (index + 1) * PER_STAGE))
        rows = torch.isin(y, torch.tensor(classes))
        train = as_samples(x[rows], y[rows], f"{index}-")
        nothing = train.subset(torch.arange(0))
        stages.append(
            Stage(
                index=index,
                name=f"stage-{index}",
                modalities=("pixels",),
                classes=classes,
                widths={"pixels": x.shape[1]},
                train=train,
                valid=nothing,
                test=nothing,
                earlier=tuple(stages),
            )
        )
    return tuple(stages)


def drifting(sizes: Sequence[int], *, width: int = 16, classes: int = 4) -> tuple[Stage, ...]:
    """Return a domain-incremental toy: the same classes in every stage, seen through another shift of the features.

    The head never grows, so whatever a late stage costs more than an early one of its size is the method's and the
    loop's own.
    """
    draw = torch.Generator().manual_seed(0)
    centres = torch.randn(classes, width, generator=draw) * 2
    made: list[Stage] = []
    for index, rows in enumerate(sizes):
        y = torch.arange(rows) % classes
        x = centres[y] + torch.randn(1, width, generator=draw) + torch.randn(rows, width, generator=draw)
        train = as_samples(x, y, f"{index}-")
        nothing = train.subset(torch.arange(0))
        made.append(
            Stage(
                index=index,
                name=f"domain-{index:03d}",
                modalities=("pixels",),
                classes=tuple(range(classes)),
                widths={"pixels": width},
                train=train,
                valid=nothing,
                test=train.subset(torch.arange(32)),
            )
        )
    return tuple(made)
