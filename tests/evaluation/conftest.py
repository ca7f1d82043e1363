"""A space whose every number is known: one linear map a modality, and codes that stand still."""

from dataclasses import dataclass, replace

import pytest
import torch
from torch.nn.functional import normalize

from polymnia.layers.codebooks.base import Quantised
from polymnia.methods.finetune import Finetune
from polymnia.models.base import Model, Output

WIDTH = 16


@dataclass(frozen=True, kw_only=True)
class Known:
    """The mediator, and codes (L, D) or none."""

    mediator: str = "pixels"
    codes: tuple[tuple[float, ...], ...] | None = None


class Linear(Model):
    """Each modality's tokens, averaged, centred and of length 1, times a matrix of its own; tests write into `maps`."""

    name = "linear"
    provides = frozenset({"representations", "space"})
    Settings = Known

    def __init__(self, settings=None, *, seed=0):
        super().__init__(settings, seed=seed)
        self.maps = torch.nn.ParameterDict()
        self.codebook = self.settings.codes

    def _grow(self, stage):
        for m in stage.modalities:
            if m not in self.maps:
                self.maps[m] = torch.nn.Parameter(torch.randn(stage.widths[m], WIDTH))

    def vectors(self, batch):
        means = {m: batch.values[m].mean(1) for m in batch.modalities}
        return {m: normalize(mean - mean.mean(1, keepdim=True), dim=1) @ self.maps[m] for m, mean in means.items()}

    def forward(self, batch):
        found = self.vectors(batch)
        return Output(torch.zeros(len(batch), 0), batch.targets, found)

    def quantised(self, batch):
        if self.settings.codes is None:
            return {}
        codes = torch.tensor(self.settings.codes)
        found = {}
        for m, vectors in self.vectors(batch).items():
            ids = torch.cdist(vectors, codes).argmin(1)
            found[m] = Quantised(codes[ids][:, None], ids[:, None])
        return found


@pytest.fixture(scope="session")
def pairs_of_digits(digits):
    """Three stages of pairs with `pixels`: projections, spectrum, projections again; the test samples are shared."""

    def pairs(index, new, train, test):
        names = tuple(sorted(("pixels", new)))
        return replace(
            digits[0], index=index, name=f"{index + 1:02d}-{new}", task="pairing", modalities=names,
            widths={m: digits[0].widths[m] for m in names}, train=train.only(names), valid=test.only(names),
            test=test.only(names),
        )  # fmt: skip

    train, test = digits[0].train, digits[0].test
    half = len(train) // 3
    parts = [train.subset(torch.arange(i * half, (i + 1) * half)) for i in range(3)]
    # a third of the test samples are in no second stage: what is joined are the others
    rows = [torch.arange(len(test)), torch.arange(len(test) // 3, len(test)), torch.arange(len(test))]
    news = ("projections", "spectrum", "projections")
    stages = [pairs(i, new, parts[i], test.subset(rows[i])) for i, new in enumerate(news)]
    return replace(digits, stages=tuple(stages))


@pytest.fixture
def linear():
    """Return a function that makes a method over a linear space, grown by some stages."""

    def make(stages, **settings):
        model = Linear(Known(**settings), seed=1)
        for stage in stages:
            model.grow(stage)
        return Finetune(model)

    return make
