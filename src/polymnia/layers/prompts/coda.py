"""`coda-prompt`: components that are weighted by attention and added up to one prompt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from polymnia.data.stage import Outline
from polymnia.errors import SettingsError
from polymnia.layers.prompts.base import Prompts, register


@register("coda-prompt")
class CodaPrompts(Prompts):
    """Components of all stages, each weighted by how well its key answers the query that its attention lets through.

    With components P, keys K and attentions A (M of each) a sample's prompt is ``Σ_m α_m P_m``,
    ``α_m = cos(q ⊙ A_m, K_m)``. Each stage adds components, and those of earlier stages are frozen; they go on
    being added up. Loss "orthogonality" is ``orthogonality · Σ over K, A and P of mean((X Xᵀ − I)²)``, averaged over
    blocks and modalities, old components included.

    Differs from the paper: prompts stand before a block's tokens where the paper puts them before keys and values of
    the attention; the query is the mean of the frozen encoder's last tokens and not its [CLS]; and each modality has
    its own. Left open, and chosen here: how many components a stage adds, for the paper divides 100 among stages that
    it knows in advance; the mean over entries in the loss, where the paper writes a norm (its code takes the mean too,
    and in its last version a millionth of it); and new components start orthonormal among themselves, not against the
    old ones, for what a model grows by may not depend on what it has learned.

    Source: Smith et al. 2023 (CODA-Prompt), sections 4.1 to 4.3; length 8, blocks 1–5, λ = 0.1.
    """

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """How many components, how long, and where."""

        components: int = 10
        """Components that a stage adds, for each modality and block."""
        length: int = 8
        """Tokens of a prompt."""
        prompt_blocks: int = 5
        """How many blocks, from the first, have a prompt."""
        orthogonality: float = 0.1
        """λ: how strongly components are kept apart."""

        def __post_init__(self) -> None:
            for name in ("components", "length", "prompt_blocks"):
                if getattr(self, name) < 1:
                    raise SettingsError(f"prompts.{name}: {getattr(self, name)} is given, and at least 1 is needed")

    settings: Settings

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(settings)
        self.held = nn.ModuleDict()  # modality → block → stage
        self.blocks = 0

    def grow(self, stage: Outline, modalities: Sequence[str], *, blocks: int) -> None:
        """Freeze the components that there are, and add new ones for each of the stage's modalities."""
        self.blocks, s = blocks, self.settings
        self.held.requires_grad_(False)
        for modality in modalities:
            if modality not in self.held:
                self.held[modality] = nn.ModuleList(nn.ModuleList() for _ in range(min(s.prompt_blocks, blocks)))
            for stages in self.held[modality]:  # ty: ignore[not-iterable]
                stages.append(Components(s.components, length=s.length, width=stage.widths[modality]))

    def forward(self, query: Mapping[str, Tensor]) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
        """Return for each block modality → prompts (B, L, d), and the orthogonality loss."""
        placed: list[dict[str, Tensor]] = [{} for _ in range(self.blocks)]
        alike: list[Tensor] = []
        for modality in sorted(query):
            held: Any = self.held[modality] if modality in self.held else ()  # noqa: SIM401 (a ModuleDict has no get)
            for block, stages in enumerate(held):
                keys, attentions, prompts = (
                    torch.cat(parts) for parts in zip(*(s.parts() for s in stages), strict=True)
                )
                placed[block][modality] = attended(query[modality], keys, attentions, prompts)
                alike.append(sum(map(likeness, (keys, attentions, prompts)), keys.new_zeros(())))
        return placed, {"orthogonality": self.settings.orthogonality * torch.stack(alike).mean()} if alike else {}


class Components(nn.Module):
    """Components (M, L, d) of one stage, block and modality, with their keys and attentions (M, d)."""

    def __init__(self, count: int, *, length: int, width: int) -> None:
        super().__init__()
        self.keys = nn.Parameter(nn.init.orthogonal_(torch.empty(count, width)))
        self.attentions = nn.Parameter(nn.init.orthogonal_(torch.empty(count, width)))
        self.prompts = nn.Parameter(nn.init.orthogonal_(torch.empty(count, length * width)).view(count, length, width))

    def parts(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return keys, attentions and prompts."""
        return self.keys, self.attentions, self.prompts


def attended(query: Tensor, keys: Tensor, attentions: Tensor, prompts: Tensor) -> Tensor:
    """Return ``Σ_m cos(q ⊙ A_m, K_m) P_m``, (B, L, d), for queries (B, d), K and A (M, d) and P (M, L, d).

    A query of zeros gets a prompt of zeros.

    Source: Smith et al. 2023, sections 4.1 and 4.2.

    Examples
    --------
    >>> eye, prompts = torch.eye(2), torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]])
    >>> attended(torch.tensor([[3.0, -4.0]]), eye, torch.ones(2, 2), prompts)
    tensor([[[ 0.6000, -0.8000]]])
    """
    dots = query @ (attentions * keys).T
    squares = query.square() @ attentions.square().T * keys.square().sum(1)
    weights = dots * squares.clamp(min=1e-16).rsqrt()  # clamped before the root, whose slope at 0 is infinite
    return torch.einsum("bm,mld->bld", weights, prompts)


def likeness(parts: Tensor) -> Tensor:
    """Return the mean of (X Xᵀ − I)² for M rows X; those of prompts (M, L, d) are flattened.

    Source: Smith et al. 2023, section 4.3.

    Examples
    --------
    >>> likeness(torch.tensor([[1.0, 0.0], [1.0, 1.0]]))  # ((1, 1), (1, 2)) − I: three ones in four entries
    tensor(0.7500)
    """
    rows = parts.flatten(1)
    return (rows @ rows.T - torch.eye(len(rows), device=rows.device)).square().mean()
