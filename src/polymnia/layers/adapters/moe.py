"""`moe`: a mixture of adapters for each modality by itself, frozen by use."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from polymnia.data.batch import Batch
from polymnia.data.stage import Outline
from polymnia.layers.adapters.base import Adapter, register
from polymnia.layers.adapters.cross_experts import CrossExperts


@register("moe")
class MoE(Adapter):
    """For each modality its own experts and its own router, fed by nothing else; the two most used are frozen.

    A modality's part is a `cross-experts` that does not cross. Its experts are counted and frozen by themselves:
    `usage` has E places for each modality, modalities in sorted order.

    Source: Yu et al. 2024, "Boosting continual learning of vision-language models via mixture-of-experts adapters",
    eq. 2-4. Unlike there, one router serves all stages (there one a stage, and at test another network guesses the
    stage; here no stage is given at test, for any method), it sees the mean token instead of the class token (not
    every encoder has one), and the bottleneck's activation is GELU, as in the other adapters.
    """

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """How many experts of which size, and how they are chosen and kept."""

        experts: int = 8
        active: int = 2
        bottleneck: int = 64
        freeze: int = 2
        noise: bool = True

        def __post_init__(self) -> None:
            self.part()

        def part(self) -> CrossExperts.Settings:
            """Return the settings of one modality's part."""
            return CrossExperts.Settings(
                experts=self.experts, active=self.active, bottleneck=self.bottleneck, cross="none", gate="own",
                freeze=self.freeze, noise=self.noise,
            )  # fmt: skip

    settings: Settings

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(settings)
        self.parts = nn.ModuleDict()

    def grow(self, stage: Outline, modalities: Sequence[str]) -> None:
        """Add a part for each new modality, and let all of them grow."""
        for m in sorted(modalities):
            if m not in self.parts:
                self.parts[m] = CrossExperts(self.settings.part())
        for m, part in sorted(self._parts().items()):
            part.grow(stage, [m] if m in modalities else [])

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return modality → (B, T, d)."""
        return {m: part(batch.only([m]))[m] for m, part in self._parts().items() if m in batch.values}

    def usage(self, batch: Batch) -> Tensor:
        """Return (M · E,): for each modality's experts the sum over samples of their weights."""
        parts = self._parts()
        return torch.cat([parts[m].usage(batch.only([m])) for m in sorted(parts)])

    def freeze(self, usage: Tensor, count: int) -> None:
        """Freeze in each modality the `count` most used experts that are not frozen yet, never the last one."""
        parts = self._parts()
        sizes = [len(parts[m].experts) for m in sorted(parts)]
        for m, used in zip(sorted(parts), usage.split(sizes), strict=True):
            parts[m].freeze(used, count)

    def _parts(self) -> dict[str, CrossExperts]:
        return dict(self.parts.items())  # ty: ignore[invalid-explicit-return]
