import pytest
import torch

WIDTH = 6


@pytest.fixture
def world():
    """Return a function that makes pairs (M, D) of two modalities: the same concepts, rendered apart, with own noise.

    ``source, target, codes``: the codes (K, D) are what the target's concepts look like without noise.
    """

    def make(rows=1500, *, concepts=8, width=WIDTH, noise=0.3, seed=0):
        fixed = torch.Generator().manual_seed(100)
        seen, codes = (2 * torch.randn(concepts, width, generator=fixed) for _ in range(2))
        random = torch.Generator().manual_seed(seed)
        which = torch.randint(concepts, (rows,), generator=random)
        source, target = (side[which] + noise * torch.randn(rows, width, generator=random) for side in (seen, codes))
        return source, target, codes

    return make
