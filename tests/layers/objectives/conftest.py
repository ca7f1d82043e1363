import pytest
import torch

from polymnia.layers.objectives.base import OBJECTIVES

WIDTH, STEPS = 8, 6
MODALITIES = ("audio", "image", "text")


@pytest.fixture
def pairs():
    """Return a function that makes sequences (B, N, D) of modalities that say the same, each with noise of its own.

    What is said stays much the same from step to step, so that the past says something of what comes.
    """

    def make(rows=24, steps=STEPS, width=WIDTH, *, modalities=MODALITIES, noise=0.3, seed=0):
        random = torch.Generator().manual_seed(seed)
        clip = torch.randn(rows, 1, width, generator=random)
        said = clip + 0.4 * torch.randn(rows, steps, width, generator=random)
        return {m: said + noise * torch.randn(rows, steps, width, generator=random) for m in modalities}

    return make


@pytest.fixture
def objective():
    """Return a function that makes an objective by name, or name and settings, grown by all three modalities."""

    def make(name, *, steps=STEPS, width=WIDTH, modalities=MODALITIES, seed=0, **settings):
        torch.manual_seed(seed)
        name, given = name if isinstance(name, tuple) else (name, {})
        kind = OBJECTIVES.get(name)
        made = kind(width, steps, kind.Settings(**given | settings))
        made.grow(modalities)
        return made

    return make


@pytest.fixture
def train():
    """Return a function that trains an objective's own weights on batches of pairs."""

    def fit(objective, batches):
        weights = list(objective.parameters())
        if not weights:
            return objective
        adam = torch.optim.Adam(weights, lr=0.01)
        objective.train()
        for sequences in batches:
            adam.zero_grad()
            objective(sequences, everywhere(sequences)).backward()
            adam.step()
        return objective.eval()

    return fit


@pytest.fixture(name="everywhere")
def everywhere_():
    """Return a function that says of sequences that every row has every modality."""
    return everywhere


def everywhere(sequences):
    return {m: torch.ones(len(values), dtype=torch.bool) for m, values in sequences.items()}
