"""A linear rule for every set of modalities at once: a module of tensors alone, which can be exported."""

import torch
from torch import Tensor, nn

from polymnia.data.batch import Batch
from polymnia.methods.linear_rule import LinearRule

MOST = 6
"""Modalities: there are 2^m rules of them."""


class AllRules(nn.Module):
    """What a `LinearRule` says, without asking which sets of modalities a batch has.

    Parameters
    ----------
    method : LinearRule
        It has learned; its rules are solved here, (2^m, K, D) and (2^m, K), and the rule of no modality is 0.
    """

    def __init__(self, method: LinearRule) -> None:
        super().__init__()
        self.method, self.modalities = method, method.in_order()
        many, classes = 2 ** len(self.modalities), len(method.counts)
        self.weight, self.bias = torch.zeros(many, classes, method.width), torch.zeros(many, classes)
        for number in range(1, many):
            pattern = tuple(bool(number >> at & 1) for at in range(len(self.modalities)))
            columns, weight, bias = method.rule(pattern)
            self.weight[number][:, columns], self.bias[number] = weight, bias

    def forward(self, batch: Batch) -> Tensor:
        """Return scores (B, K)."""
        features = self.method.features(batch)
        number = sum(batch.has(m).long() << at for at, m in enumerate(self.modalities))
        every = torch.einsum("bd,skd->bsk", features, self.weight) + self.bias
        chosen = every.gather(1, torch.as_tensor(number)[:, None, None].expand(-1, 1, every.shape[2]))[:, 0]
        return self.method.told(chosen)
