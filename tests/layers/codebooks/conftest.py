import pytest
import torch

from polymnia.layers.codebooks.base import CODEBOOKS

WIDTH = 6


@pytest.fixture
def codebook():
    """Return a function that makes a codebook by name, or name and settings, that has begun its first stage."""

    def make(name, *, width=WIDTH, begun=True, **settings):
        name, given = name if isinstance(name, tuple) else (name, {})
        kind = CODEBOOKS.get(name)
        made = kind(width, kind.Settings(**{"codes": 12} | given | settings))
        if begun:
            made.begin(0)
        return made

    return make


@pytest.fixture
def group():
    """Return a function that makes the sequences (B, N, D) of a group: clusters that members share, and noise."""

    def make(members=2, rows=16, steps=3, width=WIDTH, seed=0, shift=0.0, clusters=20):
        centres = 3 * torch.randn(clusters, width, generator=torch.Generator().manual_seed(99)) + shift
        random = torch.Generator().manual_seed(seed)
        said = centres[torch.randint(clusters, (rows, steps), generator=random)]
        return [said + 0.3 * torch.randn(said.shape, generator=random) for _ in range(members)]

    return make


@pytest.fixture
def learn(group):
    """Return a function that takes a stage's batches, grows at 30 % and measures at the end, as a family does."""

    def stage(codebook, *, batches=20, seed=0, grow=True, **given):
        for index in range(batches):
            if grow and index == batches * 3 // 10:
                codebook.grow(group(rows=100, seed=seed + 5000, **given)[0].flatten(0, 1), seed=seed)
            codebook.update(group(seed=seed + index, **given), progress=index / batches, seed=seed + index)
        codebook.end(group(rows=100, seed=seed + 7000, **given)[0].flatten(0, 1))

    return stage
