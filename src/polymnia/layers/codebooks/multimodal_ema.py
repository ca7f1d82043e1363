"""`multimodal-ema`: codes are moving averages of what paired modalities say together; they grow by stage."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from polymnia.errors import DataError, StateError
from polymnia.layers.codebooks.base import register
from polymnia.layers.codebooks.clusters import rows, spread
from polymnia.layers.codebooks.growing import Growing
from polymnia.layers.codebooks.nearest import nearest, sums
from polymnia.randomness import derive


@register("multimodal-ema")
class MultimodalEMA(Growing):
    """Moving averages of hits, in which each vector counts half for itself and half for its partners.

    With h_l the members' vectors (all modalities, rows and steps) whose nearest code is l, and g the decay of the
    code's generation: ``N_l ← g N_l + (1 − g) |h_l|``, ``o_l ← g o_l + (1 − g) Σ_h [(1 − p) z + p z̄]``,
    ``e_l = o_l / N_l``; z̄ is the mean of the other members at the same row and step. The first batch draws the first
    codes; each starts with count 1, and its weight is the code.

    Source: Xia et al. 2023, eq. 7, for the average; what follows COMET (Xia et al. 2025) is inferred: its full text is
    not public. Choices left open there, and made here:

    - One joint update: all members are quantised by the codes before it (the authors' code updates one modality after
      the other, so that the result depends on their order).
    - A partner is the aligned vector itself, as in the authors' code; the paper has cross-attention.
    - Counts are smoothed as in the authors' code, ``(N_l + ε) / (n + L ε) · n`` with n = Σ N, over the codes that may
      move. A code without a hit keeps its place exactly: eq. 7 shrinks o and N alike, and only the smoothing would
      pull it to 0.
    - The first codes are vectors of the first batch, far from each other (k-means++). The authors draw them within
      ±1/L, where most never win; these stand here only until the first batch.
    - A code that no member hit for `idle` batches is reset to a vector of the batch: embedding, weight and count. The
      authors' code resets the embedding alone, so that the next average undoes it, to a recently used code moved by
      up to 1/1024, whatever the scale of the space.
    - Only codes of the newest generation are reset; with `old_decay` 1 older ones keep their bits.

    Attributes
    ----------
    weights, counts : Tensor
        o (L, D) and N (L,).
    idle : Tensor
        (L,) batches since the last hit.
    """

    weights: Tensor
    counts: Tensor
    idle: Tensor
    drawn: Tensor

    @dataclass(frozen=True, kw_only=True)
    class Settings(Growing.Settings):
        """How many codes there are, how they move and how they grow."""

        decay: float = 0.99
        old_decay: float = 1.0
        """Of codes of earlier stages; 1: they never move."""
        epsilon: float = 1e-5
        partner: float = 0.5
        """p, the weight of the others' mean; 0: a plain average."""
        idle: int | None = 300
        """Batches without a hit after which a code is reset; null: never."""
        reset_until: float = 0.8
        """Share of a stage's steps after which no code is reset."""

        def __post_init__(self) -> None:
            super().__post_init__()
            self._at_least(epsilon=0.0, idle=1)
            self._shares("decay", "old_decay", "partner", "reset_until")

    settings: Settings

    def __init__(self, width: int, settings: Settings | None = None) -> None:
        super().__init__(width, settings)
        self.register_buffer("weights", torch.zeros(0, width))
        self.register_buffer("counts", torch.zeros(0))
        self.register_buffer("idle", torch.zeros(0, dtype=torch.long))
        self.register_buffer("drawn", torch.tensor(False))  # whether the first codes come from data

    def add(self, codes: Tensor) -> None:
        """Add codes (n, D), each with count 1 and itself as weight."""
        super().add(codes)
        self.weights = torch.cat([self.weights, codes.to(self.weights)])
        self.counts = torch.cat([self.counts, self.counts.new_ones(len(codes))])
        self.idle = torch.cat([self.idle, self.idle.new_zeros(len(codes))])

    def place(self, where: Tensor, codes: Tensor) -> None:
        """Put codes (n, D) in the place of those that (L,) bool says, as if they were added."""
        # new tensors, because a graph may still hold the old ones
        self.codes, self.weights = self.codes.clone(), self.weights.clone()
        self.codes[where] = self.weights[where] = codes
        self.counts = self.counts.masked_fill(where, 1.0)
        self.idle = self.idle.masked_fill(where, 0)

    @torch.no_grad()
    def update(self, group: Sequence[Tensor], *, progress: float = 1.0, seed: int = 0) -> None:
        """Move codes by one batch: eq. 7 for all members at once, then reset codes that nobody hits.

        Parameters
        ----------
        group : sequence of Tensor
            (B, N, D) each; nothing happens for B = 0.
        progress : float
            After `reset_until` nothing is reset.
        seed : int
            Another one at each step: it draws the first codes and what codes are reset to.
        """
        members = self.aligned(group)
        if not members.numel():
            return
        mixed = partnered(members, self.settings.partner).flatten(0, -2)
        self.start(mixed, seed=seed)
        ids = nearest(members.flatten(0, -2), self.codes).ids
        hits = torch.bincount(ids, minlength=len(self))
        self._move(hits, sums(mixed, ids, len(self)))
        self.idle = torch.where(hits > 0, 0, self.idle + 1)
        if progress <= self.settings.reset_until:
            self._reset(mixed, seed)

    def aligned(self, group: Sequence[Tensor]) -> Tensor:
        """Return (G, B, N, D), the members of a group in the precision of the codes."""
        shapes = [tuple(member.shape) for member in group]
        if len(set(shapes)) != 1 or shapes[0][-1] != self.width:
            raise DataError(
                f"codebook: the group's members have shapes {shapes}; one shape (B, N, {self.width}) is accepted, "
                "with rows and steps that belong together"
            )
        return torch.stack([member.detach().to(self.codes.dtype) for member in group])

    def start(self, vectors: Tensor, *, seed: int) -> None:
        """Draw the first codes from vectors (M, D), once."""
        if not len(self):
            raise StateError("codebook: there are no codes yet; begin(stage) makes them")
        if not bool(self.drawn):
            random = Generator().manual_seed(derive(seed, "codebook", "first"))
            codes = spread(vectors, len(self), generator=random)
            self.place(torch.ones_like(self.counts, dtype=torch.bool), codes)
            self.drawn = torch.ones_like(self.drawn)

    def _move(self, hits: Tensor, total: Tensor) -> None:
        s = self.settings
        decay = torch.full_like(self.counts, s.decay)
        decay[: self.older] = s.old_decay
        moves = decay < 1
        counts = torch.where(moves, decay * self.counts + (1 - decay) * hits, self.counts)
        weights = torch.where(
            moves[:, None], decay[:, None] * self.weights + (1 - decay[:, None]) * total, self.weights
        )
        n = (counts * moves).sum()
        smoothed = (counts + s.epsilon) / (n + moves.sum() * s.epsilon) * n
        hit = moves & (hits > 0)
        self.codes = torch.where(hit[:, None], weights / smoothed[:, None], self.codes)
        self.counts, self.weights = counts, weights

    def _reset(self, vectors: Tensor, seed: int) -> None:
        if self.settings.idle is None:
            return
        dead = self.idle >= self.settings.idle
        dead[: self.older] = False
        count = int(dead.sum())
        if count:
            random = Generator().manual_seed(derive(seed, "codebook", "reset"))
            drawn = rows(len(vectors), count, generator=random).to(vectors.device)
            self.place(dead, vectors[drawn])


def partnered(members: Tensor, weight: float) -> Tensor:
    """Return for members (G, …, D) each one's mixture with the mean of the others; one alone stays itself.

    Examples
    --------
    >>> partnered(torch.tensor([[[0.0]], [[4.0]], [[8.0]]]), 0.5).flatten().tolist()
    [3.0, 4.0, 5.0]
    """
    if len(members) < 2 or not weight:
        return members
    others = (members.sum(0) - members) / (len(members) - 1)
    return (1 - weight) * members + weight * others
