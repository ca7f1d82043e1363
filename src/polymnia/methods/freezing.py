"""Experts by use: how much each was used in a stage, and the freezing of those that were used most."""

from typing import Any

import torch
from torch import Tensor

from polymnia.data.stage import Stage
from polymnia.layers.adapters.base import Adapter
from polymnia.methods.base import Method
from polymnia.models.base import Model

Usage = list[list[float]]
"""For each block, for each expert: the sum of its weights over a stage's training samples."""


def has_experts(model: Model) -> bool:
    """Return whether the model's adapters have experts that can be frozen."""
    return any(type(adapter).freeze is not Adapter.freeze for adapter in getattr(model, "adapters", ()))


@torch.no_grad()
def used(method: Method, stage: Stage) -> Usage:
    """Return how much each expert of each block is used by the stage's training samples.

    One pass of the model as it is, in evaluation mode. Chee et al. 2025 do not define use, and MoE-Adapters (Yu et
    al. 2024) counts during training; counted after the last epoch, it depends neither on the number of epochs nor on
    weights that still changed.
    """
    model: Any = method.model
    totals: list[Tensor] = [torch.zeros(()) for _ in model.adapters]
    was_training = model.training
    model.eval()
    try:
        for batch in method.batches(stage.train):
            for at, (adapter, block) in enumerate(zip(model.adapters, model.entering(batch), strict=True)):
                totals[at] = totals[at] + adapter.usage(block).double().cpu()
    finally:
        model.train(was_training)
    return [total.tolist() for total in totals]


def freeze_used(method: Method, stage: Stage) -> Usage:
    """Return how much each expert is used by a stage that has ended, and freeze those that were used most.

    How many in each block is the adapter's setting `freeze`, for it also makes room for as many new ones. A model
    without experts is left as it is, and nothing is returned for it.
    """
    if not has_experts(method.model):
        return []
    model: Any = method.model
    usage = used(method, stage)
    if method.settings.freeze:
        for adapter, weights in zip(model.adapters, usage, strict=True):
            adapter.freeze(torch.tensor(weights), adapter.settings.freeze)
    return usage
