"""Weight fusion: weights move back towards those of the stage before; a part of its own, for any method."""

from collections.abc import Mapping

import torch
from torch import Tensor

from polymnia.methods.base import Clock
from polymnia.models.base import Model


def fusible(model: Model) -> dict[str, Tensor]:
    """Return the weights that fusion is about, by name: those that can be trained and are shared by all modalities.

    Of a family with deltas these are the deltas, for a bridge belongs to one modality; of others, all.
    """
    trainable: dict[str, Tensor] = dict(model.trainable())
    deltas = {name: weight for name, weight in trainable.items() if name.startswith("deltas.")}
    return deltas if hasattr(model, "deltas") else trainable


@torch.no_grad()
def fuse(weights: Mapping[str, Tensor], old: Mapping[str, Tensor], *, share: float) -> None:
    """Set each weight to ``(1 − share) · old + share · weight``, in place.

    What is new, or has another shape than it had, stays as it is. 1 changes nothing, 0 puts all that was learned back.

    Source: Pian et al. 2024 (MoInCL), released code, at the end of each epoch; Xiao et al. 2023 (EWF).

    Examples
    --------
    >>> weight = torch.tensor([4.0])
    >>> fuse({"w": weight}, {"w": torch.tensor([2.0])}, share=0.5)
    >>> weight
    tensor([3.])
    """
    if share == 1.0:
        return
    for name, weight in weights.items():
        before = old.get(name)
        if before is not None and before.shape == weight.shape:
            weight.copy_((1 - share) * before + share * weight)


def due(clock: Clock, every: int) -> bool:
    """Return whether it is time after the step that was just done: after so many steps, or, at 0, an epoch's last.

    Examples
    --------
    >>> [due(Clock(step=step, per_epoch=2), 0) for step in range(4)]
    [False, True, False, True]
    """
    period = every or clock.per_epoch
    return period > 0 and (clock.step + 1) % period == 0
