"""`residual`: two levels; a second codebook says what the first one leaves."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from polymnia.errors import SettingsError
from polymnia.layers.codebooks.base import Quantised, register
from polymnia.layers.codebooks.growing import passed
from polymnia.layers.codebooks.multimodal_ema import MultimodalEMA, partnered
from polymnia.randomness import derive


@register("residual")
class Residual(MultimodalEMA):
    """A `multimodal-ema` codebook, and a second one for ``z − e(z)``; a vector becomes the sum of both codes.

    Codes, ids, sizes and `first` are those of the first level; `levels` returns both. The second level moves on what
    is left by the codes before the update, and grows only in stages in which the first does, so that n codes of the
    first level always go with the same codes of the second.

    Source: after Huang et al. 2025 (semantic residual, SRCID), adapted: there the second level quantises features of
    its own, made from what the first level's encoder left out, and both are concatenated; here, as in residual vector
    quantisation, it sees what is left of the same vector, and both are summed, so that the width stays.
    """

    @dataclass(frozen=True, kw_only=True)
    class Settings(MultimodalEMA.Settings):
        """As of `multimodal-ema`, for both levels."""

        second: int | None = None
        """Codes of the second level in the first stage; null: as many as of the first."""

        def __post_init__(self) -> None:
            super().__post_init__()
            if self.second is not None and self.second < 1:
                raise SettingsError(f"codebook.second: {self.second} is given; at least 1 is accepted")

        def level(self) -> MultimodalEMA.Settings:
            """Return the settings of the second level."""
            same: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(MultimodalEMA.Settings)}
            same["codes"] = self.second or self.codes
            return MultimodalEMA.Settings(**same)

    def __init__(self, width: int, settings: Settings | None = None) -> None:
        chosen = self.Settings() if settings is None else settings
        super().__init__(width, chosen)
        self.second = MultimodalEMA(width, chosen.level())

    def begin(self, stage: int) -> None:
        """Begin a generation of both levels."""
        super().begin(stage)
        self.second.begin(stage)

    def quantise(self, vectors: Tensor, *, first: int | None = None) -> Quantised:
        """Return the sum of both levels' codes of vectors (…, D), and the first level's ids."""
        one, two = self.levels(vectors, first=first)
        return passed(vectors, Quantised(one.vectors + two.vectors, one.ids))

    def levels(self, vectors: Tensor, *, first: int | None = None) -> tuple[Quantised, Quantised]:
        """Return both levels' codes and ids of vectors (…, D), without a gradient.

        With `first`, the second level has the codes of the earliest stage that had so many of the first.
        """
        one = self.find(vectors, first=first)
        if first is not None:
            stage = int(torch.searchsorted(self.ends, first))
            first = int(self.second.ends[stage])
        return one, self.second.find(vectors.detach() - one.vectors, first=first)

    @torch.no_grad()
    def update(self, group: Sequence[Tensor], *, progress: float = 1.0, seed: int = 0) -> None:
        """Move the codes of both levels by one batch."""
        members = self.aligned(group)
        if not members.numel():
            return
        self.start(partnered(members, self.settings.partner).flatten(0, -2), seed=seed)
        left = [self._left(member) for member in members]
        super().update(group, progress=progress, seed=seed)
        self.second.update(left, progress=progress, seed=derive(seed, "second level"))

    def grow(self, vectors: Tensor, *, seed: int = 0) -> int:
        """Add codes to the first level, and where it grew, to the second; returns how many the first has more."""
        left = self._left(vectors)
        added = super().grow(vectors, seed=seed)
        if added:
            self.second.grow(left, seed=derive(seed, "second level"))
        return added

    def end(self, vectors: Tensor) -> None:
        """Measure ρ of both levels."""
        super().end(vectors)
        self.second.end(self._left(vectors))

    def _left(self, vectors: Tensor) -> Tensor:
        return vectors.detach() - self.find(vectors).vectors
