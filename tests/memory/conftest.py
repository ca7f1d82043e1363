"""Batches whose rows say which sample they are."""

import pytest
import torch

from polymnia.data.batch import Batch


@pytest.fixture(scope="session")
def numbered():
    """Return a function that makes a batch of samples start … stop − 1; the value of sample i is i."""

    def make(start: int, stop: int, targets=None) -> Batch:
        values = torch.arange(float(start), float(stop)).reshape(-1, 1, 1)
        labels = torch.zeros(stop - start) if targets is None else torch.as_tensor(targets)
        return Batch({"x": values}, labels.long(), {"x": None}, {"x": None})

    return make


@pytest.fixture(scope="session")
def names_in():
    """Return a function that lists which samples a batch of numbered samples holds."""
    return lambda batch: [int(v) for v in batch.values["x"].flatten()] if batch.values else []
