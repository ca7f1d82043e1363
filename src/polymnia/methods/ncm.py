"""`ncm`: the nearest class mean over frozen features."""

from typing import Any

import torch
from torch import Tensor

from polymnia.data.batch import Batch
from polymnia.methods.base import register
from polymnia.methods.features import FeatureMethod, padded
from polymnia.models.base import Model
from polymnia.randomness import Randomness

FARTHEST = 4.0
"""The largest squared distance between two vectors of at most length 1."""


@register("ncm")
class NCM(FeatureMethod):
    """The class whose mean is nearest, over frozen features: nothing is forgotten, and no feature is learned.

    Each modality has class means of its own, and a sample's distance to a class is the mean of the squared distances
    in the modalities that both have: a missing modality takes no part, where zeros in its place would favour
    whichever mean is shortest. A class that shares no modality with the sample is farthest.

    Source: Mensink et al. 2013, eq. 1; over pretrained features, Zhou et al. 2023 (SimpleCIL).
    """

    state = (*FeatureMethod.state, "seen")

    def __init__(self, model: Model, settings: Any = None, *, randomness: Randomness | None = None) -> None:
        super().__init__(model, settings, randomness=randomness)
        self.seen: dict[str, Tensor] = {}  # modality → (K,) samples of each class that have it

    def grow(self, classes: int) -> None:
        """Make room in the counts of each modality too."""
        super().grow(classes)
        empty = self.counts.new_zeros(0)
        self.seen = {m: padded(self.seen.get(m, empty), classes) for m in self.slots}

    def observe(self, batch: Batch, features: Tensor) -> None:
        """Add to the sums, and count who has what."""
        super().observe(batch, features)
        for modality, seen in self.seen.items():
            seen.index_add_(0, batch.targets, batch.has(modality).to(seen))

    def scores(self, batch: Batch, features: Tensor) -> Tensor:
        """Return minus the mean squared distance (B, K), over shared modalities."""
        total = features.new_zeros(len(batch), len(self.counts), dtype=torch.float64)
        shared = torch.zeros_like(total)
        for modality, (start, end) in self.slots.items():
            x, seen = features[:, start:end].double(), self.seen[modality]
            mean = self.sums[:, start:end] / seen.clamp(min=1)[:, None]
            distance = x.square().sum(1, keepdim=True) - 2 * x @ mean.T + mean.square().sum(1)
            both = (batch.has(modality)[:, None] & (seen > 0)).double()  # (B, K)
            total += both * distance
            shared += both
        return -torch.where(shared > 0, total / shared, FARTHEST).float()
