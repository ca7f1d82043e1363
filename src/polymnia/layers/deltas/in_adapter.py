"""`in-adapter`: a path for each modality, which leans on the frozen maps of those that came before it."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, softplus

from polymnia.data.stage import Outline
from polymnia.layers.deltas.base import Asked, Delta, register
from polymnia.layers.deltas.lora import LowRank


class Path(nn.Module):
    """What is added for one modality: its own map, and earlier maps with an in-adapter inside each, mixed by a gate.

    Parameters
    ----------
    inputs, rank : int
        Width of the linear layer's input, and rank of every map.
    leans : int
        How many maps there were before.
    own : int
        The number of its own map.
    """

    def __init__(self, inputs: int, rank: int, *, leans: int, own: int) -> None:
        super().__init__()
        self.leans, self.own, self.later = leans, own, list[int]()
        if leans:
            self.inside = nn.Parameter(torch.zeros(leans, rank, rank))
            self.gate = nn.Parameter(torch.zeros(leans + 1, inputs))
            self.width = nn.Parameter(torch.zeros(leans + 1, inputs))

    @property
    def newest(self) -> int:
        """The number of the map that its modality's last stage has trained."""
        return [self.own, *self.later][-1]

    def forward(self, given: Tensor, maps: list[LowRank], *, noisy: bool) -> Tensor:
        """Return (R, T, outputs) of (R, T, inputs)."""
        added = _joined(given, [maps[self.own]])
        if self.leans:
            weights = self.weights(given, noisy=noisy)  # (R, T, leans + 1)
            down = torch.cat([low_rank.down for low_rank in maps[: self.leans]])
            up = torch.cat([low_rank.scale * low_rank.up for low_rank in maps[: self.leans]], 1)
            hidden = (given @ down.T).unflatten(-1, (self.leans, -1))
            hidden = torch.einsum("...ei,eoi->...eo", hidden, self.inside) * weights[..., :-1, None]
            added = hidden.flatten(-2) @ up.T + weights[..., -1:] * added
        return added + _joined(given, [maps[number] for number in self.later]) if self.later else added

    def weights(self, given: Tensor, *, noisy: bool) -> Tensor:
        """Return how much each map counts for each token, (R, T, leans + 1), its own last."""
        logits = given @ self.gate.T
        if noisy:
            logits = logits + torch.randn_like(logits) * (softplus(given @ self.width.T) + 0.01)
        return logits.softmax(-1)


def _joined(given: Tensor, maps: list[LowRank]) -> Tensor:
    """Return the sum of what maps make of (R, T, inputs)."""
    up = torch.cat([low_rank.scale * low_rank.up for low_rank in maps], 1)
    return (given @ torch.cat([low_rank.down for low_rank in maps]).T) @ up.T


@register("in-adapter")
class InAdapter(Delta):
    """Adapter-in-adapter: a low-rank map for each modality, frozen after its stage, that later modalities build on.

    A modality that comes first has its map alone. A later one has a map of its own and, inside each map that was there
    before, between its A and its B, a small matrix (rank × rank, the in-adapter); a gate weighs all of them for each
    token: ``w_own B A x + Σ_i w_i B_i I_i A_i x`` with w = softmax(G x), in training with noise of learned width.
    Which path a row takes follows from the modality that it has; a text alone takes none.

    From the paper: frozen maps, in-adapters in them, a gate over all. From the authors' code: where an in-adapter
    stands, no activation, the gate's form, and that all maps work on each token. Left out: biases, and a learned factor
    for each map. In-adapters start at 0, not at random, so that a new modality begins with the host as it is. The code
    has one in-adapter for each frozen map, which every next modality trains again; here each pair of modalities has its
    own, for earlier modalities are to stay as they are.

    Inferred, because there each modality comes once and alone: one that comes again gets a further map, added to its
    path beside the gate, since others may lean on the first; a row with several modalities gets the mean of their
    paths. There the maps stand in a Q-Former, here beside the host's linear layers.

    Source: Yu et al. 2024 (PathWeave, "LLMs can evolve continually on modality for X-modal reasoning") and its released
    code.
    """

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """How large each map is. PathWeave's released code has bottlenecks of 8."""

        rank: int = 8
        alpha: float = 32.0
        noise: bool = True
        """Whether the gate's logits are disturbed in training; each of several processes draws its own."""
        dropout: float = 0.0

    settings: Settings
    unfoldable = "which path a row takes follows from its modality, and a gate weighs the maps for each token"

    def __init__(self, inputs: int, outputs: int, settings: Any = None, *, asked: Asked | None = None) -> None:
        super().__init__(inputs, outputs, settings, asked=asked)
        self.maps, self.paths = nn.ModuleList(), nn.ModuleDict()

    def grow(self, stage: Outline) -> None:
        """Freeze what is there; add a path for each new modality, and a map for each that comes again."""
        s, before = self.settings, len(self.maps)
        self.requires_grad_(False)
        for m in sorted(stage.modalities):
            self.maps.append(LowRank(self.inputs, self.outputs, rank=s.rank, alpha=s.alpha))
            number = len(self.maps) - 1
            if m in self.paths:
                self.path(m).later.append(number)
            else:
                self.paths[m] = Path(self.inputs, s.rank, leans=before, own=number)

    def path(self, modality: str) -> Path:
        """Return a modality's path."""
        path = self.paths[modality]
        assert isinstance(path, Path)
        return path

    def forward(self, given: Tensor) -> Tensor:
        """Return what is added, (R, T, outputs), 0 in rows without any modality; R is B, or B · beams."""
        maps: list[LowRank] = list(self.maps)  # ty: ignore[invalid-assignment]
        given = dropout(given, self.settings.dropout, self.training)
        present = {m: self._of_rows(has, len(given)) for m, has in self.asked.present.items() if m in self.paths}
        count = torch.stack([torch.zeros(len(given), device=given.device), *present.values()]).sum(0)
        added = given.new_zeros(*given.shape[:-1], self.outputs)
        for m, has in sorted(present.items()):
            path, noisy = self.path(m), self.training and self.settings.noise
            others = any(maps[self.path(other).newest].up.requires_grad for other in self.paths if other != m)
            if not others and bool((has & (count == 1)).all()):
                return path(given, maps, noisy=noisy)
            rows = has.nonzero()[:, 0]  # none: what is trained still gets a gradient, for processes average theirs
            share: Tensor = path(given[rows], maps, noisy=noisy) / count[rows, None, None]
            added = added.index_add(0, rows, share.to(added.dtype))
        return added

    def _of_rows(self, has: Tensor, rows: int) -> Tensor:
        """Return (R,): beam search has each row several times, one after another."""
        return has if len(has) == rows else has.repeat_interleave(rows // len(has))
