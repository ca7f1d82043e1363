"""`l2p`: a pool of prompts, of which each sample takes those whose keys are nearest to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from polymnia.data.stage import Outline
from polymnia.errors import SettingsError
from polymnia.layers.prompts.base import Prompts, register


@register("l2p")
class L2PPrompts(Prompts):
    """For each modality a pool of prompts with keys; the `top` whose keys are most alike to the query stand first.

    Likeness is the cosine. Loss "pull" brings the chosen keys to the query: ``pull · Σ over the chosen of (1 − cos)``,
    averaged over rows (those that lack the modality count as 0) and modalities. The pool is that of the first
    stage that has the modality; all stages share it, and nothing in it is ever frozen.

    Differs from the paper: the query is the mean of the frozen encoder's last tokens and not its [CLS], which not every
    encoder has; there is a pool for each modality; and the classifier reads the sample's own tokens where the paper's
    reads the mean of the prompts' last states, for prompts are taken off behind the block. The paper's optional
    penalty on prompts that were chosen often is left out: it needs to know the stage a sample is from.

    Source: Wang et al. 2022 (Learning to prompt for continual learning), eqs. 3 and 5; M = 10, N = 5, L = 5, λ = 0.5.
    """

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """How large the pool is, and how much of it a sample takes."""

        pool: int = 10
        """Prompts of each modality."""
        length: int = 5
        """Tokens of a prompt."""
        top: int = 5
        """Prompts that a sample takes."""
        pull: float = 0.5
        """λ: how strongly the chosen keys are pulled to the query."""

        def __post_init__(self) -> None:
            if not 1 <= self.top <= self.pool:
                raise SettingsError(
                    f"prompts.top: {self.top} is given, and 1 to prompts.pool ({self.pool}) are accepted"
                )
            if self.length < 1:
                raise SettingsError(f"prompts.length: {self.length} is given, and at least 1 is needed")

    settings: Settings

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(settings)
        self.pools = nn.ModuleDict()
        self.blocks = 0

    def grow(self, stage: Outline, modalities: Sequence[str], *, blocks: int) -> None:
        """Make the pool of each modality that is new."""
        self.blocks, s = blocks, self.settings
        for modality in modalities:
            if modality not in self.pools:
                self.pools[modality] = Pool(s.pool, length=s.length, width=stage.widths[modality])

    def forward(self, query: Mapping[str, Tensor]) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
        """Return modality → (B, top · length, d) for the first block and nothing for the others, and the pull."""
        placed: list[dict[str, Tensor]] = [{} for _ in range(self.blocks)]
        far: list[Tensor] = []
        for modality in sorted(query):
            if modality in self.pools:
                placed[0][modality], distance = self.pools[modality](query[modality], self.settings.top)
                far.append(distance)
        return placed, {"pull": self.settings.pull * torch.stack(far).mean()} if far else {}


class Pool(nn.Module):
    """Prompts (P, L, d) and their keys (P, d)."""

    def __init__(self, size: int, *, length: int, width: int) -> None:
        super().__init__()
        self.keys = nn.Parameter(torch.randn(size, width))
        self.prompts = nn.Parameter(0.02 * torch.randn(size, length, width))  # as ViT's own position embeddings start

    def forward(self, query: Tensor, top: int) -> tuple[Tensor, Tensor]:
        """Return the nearest prompts, nearest first, (B, top · L, d), and how far their keys are, a scalar."""
        alike, chosen = (normalize(query, dim=1) @ normalize(self.keys, dim=1).T).topk(top, dim=1)
        there = (query != 0).any(1)
        distance = ((1 - alike).sum(1) * there).mean()
        return self.prompts[chosen].flatten(1, 2), distance
