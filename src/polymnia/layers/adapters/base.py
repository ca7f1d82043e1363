"""An adapter: what is trained beside one block of frozen layers, for all modalities at once."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from polymnia.data.batch import Batch
from polymnia.data.stage import Outline
from polymnia.errors import SettingsError
from polymnia.registry import NoSettings, Registry


class Adapter(nn.Module, ABC):
    """Base of all adapters: one serves one block.

    `forward` gets the block's input and returns what is added to the block's output, zero at start, so that a new
    adapter changes nothing. What a modality gets may depend on the others; a missing one has no influence.
    """

    name: ClassVar[str]

    shared: bool = False
    """Whether its weights serve all modalities: then these must have one width, and one that comes later starts with
    what the others have made of the weights, not with zero."""

    keeps: bool = False
    """Whether what it adds for a modality stays as the modality's last stage left it, and `of_stage` can tell."""

    Settings: type[Any] = NoSettings

    def __init__(self, settings: Any = None) -> None:
        super().__init__()
        self.settings = self.Settings() if settings is None else settings

    def grow(self, stage: Outline, modalities: Sequence[str]) -> None:
        """Make room for a stage; `modalities` are those that this block works on, `stage.widths` has their widths."""

    @abstractmethod
    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return modality → (B, T, d), what is added to the block's output, for tokens (B, T, d) at its input."""

    def of_stage(self, batch: Batch, stage: int) -> dict[str, Tensor]:
        """Return what it added at the end of an earlier stage, where it can tell; others return what they add now."""
        added: dict[str, Tensor] = self(batch)
        return added

    # experts; an adapter without them has nothing to count or to freeze -----------------------------------------

    def usage(self, batch: Batch) -> Tensor:
        """Return (E,): for each expert the sum over samples of its weight; empty where there are no experts."""
        return torch.zeros(0)

    def balance(self, batch: Batch) -> Tensor:
        """Return a loss, a scalar, that is low where experts are wanted alike; 0 where there are none."""
        return torch.zeros((), device=batch.targets.device)

    def freeze(self, usage: Tensor, count: int) -> None:
        """Freeze the `count` most used experts that are not frozen yet, never the last one."""


def one_width(adapter: Adapter, stage: Outline, modalities: Sequence[str], known: int = 0) -> int:
    """Return the width of a stage's modalities, which must be one, and the one known from earlier stages, if any."""
    widths = {m: stage.widths[m] for m in sorted(modalities)}
    if len({*widths.values(), *([known] if known else [])}) > 1:
        given = ", ".join(f"{m} {width}" for m, width in widths.items())
        before = f", earlier ones {known}" if known else ""
        raise SettingsError(
            f"adapter: {adapter.name!r} shares its weights between modalities, so these must have one width, and "
            f"have: {given}{before}. Put projectors to one width before it, or take an adapter with weights for each"
        )
    return next(iter(widths.values()), known)


ADAPTERS: Registry[type[Adapter]] = Registry("adapter", "polymnia.layers.adapters")
register = ADAPTERS.register
