import pytest
import torch

from polymnia.data.batch import Batch
from polymnia.data.stage import Outline
from polymnia.layers.adapters.base import ADAPTERS

WIDTHS = {"audio": 6, "image": 4, "text": 5}
ALIKE = dict.fromkeys(WIDTHS, 8)
"""For adapters whose weights serve all modalities."""
LENGTHS = {"audio": 3, "image": 2, "text": 4}


@pytest.fixture
def widths(request):
    """Modality → width: those that the adapter takes which the test is about, where it has a `name`."""
    name = getattr(request.node, "callspec", None) and request.node.callspec.params.get("name")
    if not name:
        return WIDTHS
    kind = ADAPTERS.get(name[0])
    return ALIKE if kind(kind.Settings(**name[1])).shared else WIDTHS


@pytest.fixture
def stage(widths):
    """Return a function that makes the outline of a stage with some modalities."""

    def make(index=0, modalities=tuple(WIDTHS)):
        return Outline(index=index, name=f"{index}", modalities=tuple(modalities), widths=widths)

    return make


@pytest.fixture
def batch(widths):
    """Return a function that makes a batch of random tokens, all there."""

    def make(rows=5, modalities=tuple(WIDTHS), seed=0):
        random = torch.Generator().manual_seed(seed)
        values = {m: torch.randn(rows, LENGTHS[m], widths[m], generator=random) for m in modalities}
        return Batch(values, torch.arange(rows))

    return make


@pytest.fixture
def adapter(stage):
    """Return a function that makes an adapter by name, or name and settings, grown once; its weights away from zero."""

    def make(name, *, trained=True, modalities=tuple(WIDTHS), seed=0, **settings):
        torch.manual_seed(seed)
        name, given = name if isinstance(name, tuple) else (name, {})
        kind = ADAPTERS.get(name)
        made = kind(kind.Settings(**given | settings))
        made.grow(stage(0, modalities), modalities)
        if trained:
            with torch.no_grad():
                for p in made.parameters():
                    p.add_(torch.randn_like(p))
        return made.eval()

    return make


@pytest.fixture
def train():
    """Return a function that takes steps of AdamW with weight decay, towards made-up values, as a stage does."""

    def steps(adapter, batch, count=5):
        adapter.train()
        trained = [p for p in adapter.parameters() if p.requires_grad]
        optimiser = torch.optim.AdamW(trained, lr=0.05, weight_decay=0.1) if trained else None
        for _ in range(count if trained else 0):
            loss = sum((added - 1).square().mean() for added in adapter(batch).values())
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        adapter.eval()

    return steps
