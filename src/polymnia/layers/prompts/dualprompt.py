"""`dualprompt`: general prompts for all stages in the first blocks, and an expert of each stage in later ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from polymnia.data.stage import Outline
from polymnia.errors import SettingsError
from polymnia.layers.prompts.base import Prompts, register


@register("dualprompt")
class DualPrompts(Prompts):
    """General prompts that every sample gets, and the expert prompts of the stage whose key is nearest to the query.

    While training, a sample gets the expert of the last stage grown by; in evaluation that of the nearest key, by the
    cosine. Loss "match" brings the expert's key to the query: ``match · (1 − cos)``, averaged over rows (those that
    lack the modality count as 0) and modalities. Experts and keys of earlier stages are frozen.

    Differs from the paper: prompts stand before a block's tokens (there "prompt tuning") where the paper's best
    variant puts them before keys and values of the attention ("prefix tuning"), which frozen layers of any architecture
    do not let in; the query is the mean of the frozen encoder's last tokens and not its [CLS]; and each modality has
    prompts of its own, with an expert for each stage that has the modality. Where there are not enough blocks for
    both, the experts' first block is the last one. Replayed samples get the expert of the current stage.

    Source: Wang et al. 2022 (DualPrompt, ECCV), section 4; lengths 5 and 20, general in blocks 1–2, experts in 3–5.
    """

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """How long prompts are, and where they stand."""

        general: int = 5
        """Tokens of a general prompt."""
        expert: int = 20
        """Tokens of an expert prompt."""
        general_blocks: int = 2
        """How many blocks, from the first, have a general prompt."""
        expert_blocks: int = 3
        """How many blocks, from there on, have expert prompts."""
        match: float = 1.0
        """λ: how strongly the expert's key is pulled to the query."""

        def __post_init__(self) -> None:
            for name in ("general", "expert", "expert_blocks"):
                if getattr(self, name) < 1:
                    raise SettingsError(f"prompts.{name}: {getattr(self, name)} is given, and at least 1 is needed")
            if self.general_blocks < 0:
                raise SettingsError(f"prompts.general_blocks: {self.general_blocks} is given, and it cannot be below 0")

    settings: Settings

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(settings)
        self.general = nn.ModuleDict()
        self.experts = nn.ModuleDict()
        self.blocks = 0

    def places(self) -> tuple[range, range]:
        """Return the blocks with general prompts, and those with experts."""
        s = self.settings
        first = min(s.general_blocks, self.blocks - 1)
        return range(min(s.general_blocks, self.blocks)), range(first, min(first + s.expert_blocks, self.blocks))

    def grow(self, stage: Outline, modalities: Sequence[str], *, blocks: int) -> None:
        """Freeze the experts that there are, and add one for each of the stage's modalities."""
        self.blocks, s = blocks, self.settings
        general, expert = self.places()
        self.experts.requires_grad_(False)
        for modality in modalities:
            width = stage.widths[modality]
            if modality not in self.general:
                self.general[modality] = nn.ParameterList(_drawn(s.general, width) for _ in general)
                self.experts[modality] = nn.ModuleList()
            held: Any = self.experts[modality]
            held.append(Expert(len(expert), length=s.expert, width=width))

    def forward(self, query: Mapping[str, Tensor]) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
        """Return for each block modality → general and expert tokens (B, P, d), and the matching loss."""
        placed: list[dict[str, Tensor]] = [{} for _ in range(self.blocks)]
        far: list[Tensor] = []
        for modality in sorted(query):
            if modality in self.general:
                whole, distance = self._of(modality, query[modality])
                far.append(distance)
                for block, parts in whole.items():
                    placed[block][modality] = torch.cat(parts, 1)
        return placed, {"match": self.settings.match * torch.stack(far).mean()} if far else {}

    def _of(self, modality: str, query: Tensor) -> tuple[dict[int, list[Tensor]], Tensor]:
        """Return block → prompts of a modality (B, P, d), and how far the experts' keys are, a scalar."""
        general, expert = self.places()
        shared: Any = self.general[modality]
        held: Any = self.experts[modality]
        keys = torch.stack([one.key for one in held])  # (stages, d)
        alike = normalize(query, dim=1) @ normalize(keys, dim=1).T
        last = alike.new_full((len(alike),), len(held) - 1, dtype=torch.long)
        chosen = last if self.training else alike.argmax(1)  # (B,)
        distance = ((1 - alike.gather(1, chosen[:, None])[:, 0]) * (query != 0).any(1)).mean()
        whole: dict[int, list[Tensor]] = {}
        for block, prompt in zip(general, shared, strict=True):
            whole[block] = [prompt.expand(len(query), -1, -1)]
        for at, block in enumerate(expert):
            if self.training:  # the last one alone, so that no gradient is computed for the others
                taken = held[-1].prompts[at].expand(len(query), -1, -1)
            else:
                taken = torch.stack([one.prompts[at] for one in held])[chosen]
            whole.setdefault(block, []).append(taken)
        return whole, distance


class Expert(nn.Module):
    """The prompts (L, d) of one stage and modality, one a block, and their key (d,)."""

    def __init__(self, blocks: int, *, length: int, width: int) -> None:
        super().__init__()
        self.key = nn.Parameter(torch.randn(width))
        self.prompts = nn.ParameterList(_drawn(length, width) for _ in range(blocks))


def _drawn(length: int, width: int) -> nn.Parameter:
    return nn.Parameter(0.02 * torch.randn(length, width))
