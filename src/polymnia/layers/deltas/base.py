"""A delta: what is learned beside a frozen linear layer and added to its output."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from polymnia.data.stage import Outline
from polymnia.registry import NoSettings, Registry

TEXT, PICTURE = 0, 1
"""Kinds of tokens."""
Part = Literal["text", "picture", "shared"]
"""By which tokens a parameter is used: texts' alone, pictures' alone, or both."""


@dataclass
class Asked:
    """What a network is being asked just now; all deltas of a model share one.

    Parameters
    ----------
    present : dict
        Modality → (B,) bool: which rows have it.
    kinds : Tensor, optional
        (B, T) int: what each token is, `TEXT` or `PICTURE`; of families whose tokens are of several kinds.
    """

    present: dict[str, Tensor] = field(default_factory=dict)
    kinds: Tensor | None = None

    def kinds_of(self, given: Tensor) -> Tensor:
        """Return (B, T), what the tokens of a layer's input (B, T, d) are; without kinds, all are texts.

        While a sequence is followed token by token, each new one is what the last of its beginning was.
        """
        if self.kinds is None:
            return torch.full(given.shape[:2], TEXT, device=given.device)
        return self.kinds[:, -given.shape[1] :]


class Delta(nn.Module, ABC):
    """Base of all deltas; it is 0 when it is new, so that the host begins as it is.

    Parameters
    ----------
    inputs, outputs : int
        Widths of the linear layer.
    settings : Any
        Of the delta.
    asked : Asked
        What the network is being asked.
    """

    name: ClassVar[str]

    Settings: type[Any] = NoSettings

    def __init__(self, inputs: int, outputs: int, settings: Any = None, *, asked: Asked | None = None) -> None:
        super().__init__()
        self.inputs, self.outputs = inputs, outputs
        self.settings: Any = self.Settings() if settings is None else settings
        self.asked = asked or Asked()

    @abstractmethod
    def grow(self, stage: Outline) -> None:
        """Add what the stage needs, and freeze what it must not change."""

    @abstractmethod
    def forward(self, given: Tensor) -> Tensor:
        """Return (B, T, outputs), to be added, for the layer's input (B, T, inputs)."""

    def losses(self) -> Mapping[str, Tensor]:
        """Return losses of its own from the last forward in training, by name, scalars; none by default."""
        return {}

    def parts(self) -> dict[str, Part]:
        """Return of each of its parameters, by name, which tokens use it; by default all do.

        A delta that treats texts and pictures apart says so here, and its gradients are measured apart.
        """
        return {name: "shared" for name, _ in self.named_parameters()}


DELTAS: Registry[type[Delta]] = Registry("delta", "polymnia.layers.deltas")
register = DELTAS.register
