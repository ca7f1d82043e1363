"""`ncm`: the nearest class mean over frozen features."""

import torch
from torch import Tensor

from polymnia.data.batch import Batch
from polymnia.methods.base import register
from polymnia.methods.features import FeatureMethod

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

    def scores(self, batch: Batch, features: Tensor) -> Tensor:
        """Return minus the mean squared distance (B, K), over shared modalities."""
        total = features.new_zeros(len(batch), len(self.counts), dtype=torch.float64)
        shared, means = torch.zeros_like(total), self.means()
        for modality, (start, end) in self.slots.items():
            x, mean = features[:, start:end].double(), means[:, start:end]
            distance = x.square().sum(1, keepdim=True) - 2 * x @ mean.T + mean.square().sum(1)
            both = (batch.has(modality)[:, None] & (self.seen[modality] > 0)).double()  # (B, K)
            total += both * distance
            shared += both
        return -torch.where(shared > 0, total / shared, FARTHEST).float()
