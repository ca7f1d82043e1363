import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from polymnia.data.samples import Sample, Samples
from polymnia.data.stage import Card, Stage, Stream
from polymnia.encoders.base import Encoder
from polymnia.encoders.cache import TOTAL
from polymnia.errors import DataError


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """An empty cache for each test."""
    monkeypatch.setenv("POLYMNIA_HOME", str(tmp_path / "home"))
    TOTAL.clear()
    return tmp_path / "home"


class Letters(Encoder):
    """Texts → one token of 3 for each letter, drawn from the letter; small enough to know what must come out."""

    name = "letters"
    kind = "text"
    width = 3
    batch_size = 4
    card = Card(title="Letters", licence="none", citation="none")

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        scale: float = 1.0

    fingerprint = hashlib.sha256(b"letters").hexdigest()[:32]

    def __init__(self, settings=None):
        super().__init__(settings)
        self.batches = []

    def encode(self, values: Sequence[str]):
        self.batches.append(list(values))
        bad = [value for value in values if "!" in value]
        if bad:
            raise DataError(f"cannot say {bad[0]!r}")
        return [letters(value) for value in values]


def letters(text: str) -> torch.Tensor:
    return torch.stack([torch.sin(torch.arange(1.0, 4.0) * ord(letter)) for letter in text])


@pytest.fixture
def encoder():
    return Letters()


@pytest.fixture
def expected():
    """What `encoder` makes of a text, as it must come out of the cache."""
    return lambda text: letters(text).half()


@pytest.fixture
def stream_of():
    """Build a stream of one modality from stages of (train, valid, test) lists of (id, value); None is missing."""

    def build(*stages, kind="text", modality="note"):
        made = []
        for index, splits in enumerate(stages):
            held = dict(zip(("train", "valid", "test"), map(samples, splits), strict=True))
            made.append(Stage(index=index, name=str(index), modalities=(modality,), classes=(0,), **held))
        card = Card(title="t", licence="l", citation="c")
        return Stream(name="s", scenario="c", stages=tuple(made), kinds={modality: kind}, class_names=("a",), card=card)

    def samples(pairs, modality="note"):
        if isinstance(pairs, Samples):
            return pairs
        made = Samples.of([Sample(i, {} if v is None else {modality: v}, 0) for i, v in pairs])
        if modality in made.values:
            return made
        empty = {modality: np.empty(len(pairs), dtype=object)}
        return Samples(made.ids, empty, {modality: torch.zeros(len(pairs), dtype=torch.bool)}, made.targets)

    return build
