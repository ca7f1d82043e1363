"""Prompts: learned tokens that are put before a frozen encoder's own at the input of a block."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from polymnia.data.stage import Outline
from polymnia.registry import NoSettings, Registry


class Prompts(nn.Module, ABC):
    """Base of all prompts: one object serves all blocks and modalities of a model.

    The frozen layers see the prompts at a block's input; behind the block they are taken off again. Encoders without
    layers get none.
    """

    name: ClassVar[str]

    Settings: type[Any] = NoSettings

    def __init__(self, settings: Any = None) -> None:
        super().__init__()
        self.settings = self.Settings() if settings is None else settings

    def grow(self, stage: Outline, modalities: Sequence[str], *, blocks: int) -> None:
        """Make room for a stage: `modalities` are those with layers, `stage.widths` has their widths."""

    @abstractmethod
    def forward(self, query: Mapping[str, Tensor]) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
        """Return for each block modality → prompts (B, P, d), possibly none; and losses by name, scalars.

        Parameters
        ----------
        query : Mapping
            Modality → (B, d), the mean of the frozen encoder's last tokens, without gradient; zero where missing.
        """


PROMPTS: Registry[type[Prompts]] = Registry("prompts", "polymnia.layers.prompts")
register = PROMPTS.register
