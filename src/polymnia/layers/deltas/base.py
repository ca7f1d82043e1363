"""A delta: what is learned beside a frozen linear layer and added to its output."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from polymnia.data.stage import Outline
from polymnia.errors import SettingsError
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
    places : Tensor, optional
        (B, T) int: which token of its row each one is, padding not counted.
    """

    present: dict[str, Tensor] = field(default_factory=dict)
    kinds: Tensor | None = None
    places: Tensor | None = None

    def kinds_of(self, given: Tensor) -> Tensor:
        """Return (B, T), what the tokens of a layer's input (B, T, d) are; without kinds, all are texts.

        While a sequence is followed token by token, each new one is what the last of its beginning was.
        """
        if self.kinds is None:
            return torch.full(given.shape[:2], TEXT, device=given.device)
        return self.kinds[:, -given.shape[1] :]

    def places_of(self, given: Tensor) -> Tensor:
        """Return (B, T), which token of its row each of a layer's input (B, T, d) is; counted where none are told."""
        if self.places is None:
            return torch.arange(given.shape[1], device=given.device).expand(given.shape[:2])
        return self.places.expand(given.shape[:2])


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
    unfoldable: ClassVar[str] = "what it adds to a token is no fixed linear map of it"
    """Why it cannot be merged, of those that do not define `folded`."""

    Settings: type[Any] = NoSettings

    def __init__(self, inputs: int, outputs: int, settings: Any = None, *, asked: Asked | None = None) -> None:
        super().__init__()
        self.merged = False
        self.inputs, self.outputs = inputs, outputs
        self.settings: Any = self.Settings() if settings is None else settings
        self.asked = asked or Asked()

    @abstractmethod
    def grow(self, stage: Outline) -> None:
        """Add what the stage needs, and freeze what it must not change."""

    @abstractmethod
    def forward(self, given: Tensor) -> Tensor:
        """Return (B, T, outputs), to be added, for the layer's input (B, T, inputs)."""

    def folded(self) -> Tensor:
        """Return (outputs, inputs), the matrix that it is.

        Raises
        ------
        SettingsError
            It is none.
        """
        raise SettingsError(
            f"delta {self.name!r} cannot be merged into a linear layer: {self.unfoldable}; it is carried beside the "
            "layer (of the deltas, 'lora' and 'stacked' can be merged)"
        )

    @torch.no_grad()
    def merge(self, layer: nn.Linear) -> None:
        """Add it to a layer's weight, for use without its cost: until `unmerge` a model does not carry it beside.

        The layer is that of a host which other models may share; unmerged, it is what it was but for rounding.

        Raises
        ------
        SettingsError
            It is no matrix, or it is merged already.
        """
        if self.merged:
            raise SettingsError(f"delta {self.name!r} is merged already; unmerge it first")
        layer.weight += self.folded().to(layer.weight)
        self.merged = True

    @torch.no_grad()
    def unmerge(self, layer: nn.Linear) -> None:
        """Take it out of a layer's weight again.

        Raises
        ------
        SettingsError
            It is not merged.
        """
        if not self.merged:
            raise SettingsError(f"delta {self.name!r} is not merged; merge it first")
        layer.weight -= self.folded().to(layer.weight)
        self.merged = False

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
