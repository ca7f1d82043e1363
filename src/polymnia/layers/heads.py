"""Heads: from a joint representation to one logit a class; they grow by classes and never change old rows."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

from polymnia.registry import Registry


class Head(nn.Module, ABC):
    """Maps (B, D) to (B, K); `grow(classes, width)` makes K at least `classes`."""

    def __init__(self) -> None:
        super().__init__()
        self.classes = 0

    @abstractmethod
    def grow(self, classes: int, width: int) -> None:
        """Add rows for new classes; old rows stay bit-identical."""


HEADS: Registry[type[Head]] = Registry("head", "polymnia.layers")
register = HEADS.register


def grown(old: nn.Parameter | None, fresh: Tensor) -> nn.Parameter:
    """Return `fresh` with the old rows written over its first rows."""
    if old is not None:
        fresh[: len(old)] = old.detach()
    return nn.Parameter(fresh)


@register("linear")
class LinearHead(Head):
    """A linear layer with bias; new rows are initialised as torch initialises a linear layer."""

    weight: nn.Parameter
    bias: nn.Parameter

    def __init__(self) -> None:
        super().__init__()
        self.register_parameter("weight", None)
        self.register_parameter("bias", None)

    def grow(self, classes: int, width: int) -> None:
        """Add rows for new classes."""
        if classes > self.classes:
            fresh = nn.Linear(width, classes)
            self.weight = grown(self.weight, fresh.weight.data)
            self.bias = grown(self.bias, fresh.bias.data)
            self.classes = classes

    def forward(self, joint: Tensor) -> Tensor:
        """Return logits (B, K)."""
        return linear(joint, self.weight, self.bias)


@register("cosine")
class CosineHead(Head):
    """Scaled cosine to one vector a class: new classes cannot win by the size of their weights.

    Source: Hou et al. 2019 (LUCIR), eq. 2; the scale is learned, from 10.
    """

    weight: nn.Parameter

    def __init__(self) -> None:
        super().__init__()
        self.register_parameter("weight", None)
        self.scale = nn.Parameter(torch.tensor(10.0))

    def grow(self, classes: int, width: int) -> None:
        """Add vectors for new classes."""
        if classes > self.classes:
            self.weight = grown(self.weight, nn.Linear(width, classes).weight.data)
            self.classes = classes

    def forward(self, joint: Tensor) -> Tensor:
        """Return logits (B, K)."""
        return self.scale * linear(normalize(joint, dim=1), normalize(self.weight, dim=1))


@register("prototype")
class PrototypeHead(Head):
    """Minus the squared distance to one prototype a class; prototypes are learned by gradient."""

    weight: nn.Parameter

    def __init__(self) -> None:
        super().__init__()
        self.register_parameter("weight", None)

    def grow(self, classes: int, width: int) -> None:
        """Add prototypes for new classes."""
        if classes > self.classes:
            self.weight = grown(self.weight, nn.Linear(width, classes).weight.data)
            self.classes = classes

    def forward(self, joint: Tensor) -> Tensor:
        """Return logits (B, K): 2⟨z, μ⟩ − ‖z‖² − ‖μ‖²."""
        cross = 2 * linear(joint, self.weight)
        return cross - joint.square().sum(1, keepdim=True) - self.weight.square().sum(1)
