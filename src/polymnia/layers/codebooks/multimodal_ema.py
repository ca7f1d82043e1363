"""`multimodal-ema`: codes are moving averages of what paired modalities say together; they grow by stage."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

import torch
from torch import Generator, Tensor

from polymnia.errors import DataError, SettingsError, StateError
from polymnia.layers.codebooks.base import Codebook, Quantised, register
from polymnia.layers.codebooks.clusters import means, rows, spread
from polymnia.layers.codebooks.nearest import nearest, sums
from polymnia.randomness import derive


class Generation(NamedTuple):
    """What a stage did to the codebook."""

    stage: int
    size: int
    """Codes at its end."""
    added: int
    share: float
    """f: the share of vectors farther than the last stage's ρ from every code when it grew; NaN where not asked."""
    distance: float
    """ρ, measured at its end; NaN before."""


@register("multimodal-ema")
class MultimodalEMA(Codebook):
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
    stages: Tensor
    ends: Tensor
    shares: Tensor
    distances: Tensor

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """How many codes there are, how they move and how they grow."""

        codes: int = 400
        """Codes of the first stage."""
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
        quantile: float = 0.95
        """Of the distances to the nearest code at a stage's end; what lies farther in the next stage is new."""
        growth: Literal["novelty", "fixed", "none"] = "novelty"
        most: int = 200
        """Codes that a stage may add by novelty."""
        added: int = 0
        """Codes that each later stage adds with `growth: fixed`."""

        def __post_init__(self) -> None:
            least = {"codes": 1, "most": 0, "added": 1 if self.growth == "fixed" else 0, "epsilon": 0.0}
            if self.idle is not None:
                least["idle"] = 1
            for name, bound in least.items():
                if not getattr(self, name) >= bound:
                    raise SettingsError(
                        f"codebook.{name}: {getattr(self, name)} is given; at least {bound} is accepted"
                    )
            for name in ("decay", "old_decay", "partner", "reset_until", "quantile"):
                if not 0 <= getattr(self, name) <= 1:
                    raise SettingsError(f"codebook.{name}: {getattr(self, name)} is given; 0 to 1 is accepted")
            if self.growth not in ("novelty", "fixed", "none"):
                raise SettingsError(f"codebook.growth: {self.growth!r} is given; novelty, fixed or none is accepted")

    settings: Settings

    def __init__(self, width: int, settings: Settings | None = None) -> None:
        super().__init__(width, settings)
        self.register_buffer("weights", torch.zeros(0, width))
        self.register_buffer("counts", torch.zeros(0))
        self.register_buffer("idle", torch.zeros(0, dtype=torch.long))
        self.register_buffer("drawn", torch.tensor(False))  # whether the first codes come from data
        # a row a stage; named in `history`
        self.register_buffer("stages", torch.zeros(0, dtype=torch.long))
        self.register_buffer("ends", torch.zeros(0, dtype=torch.long))
        self.register_buffer("shares", torch.zeros(0))
        self.register_buffer("distances", torch.zeros(0))

    # stages --------------------------------------------------------------------------------------------------------

    @property
    def sizes(self) -> dict[int, int]:
        """Stage → how many codes there were at its end; of the stage that is under way, how many there are."""
        return dict(zip(self.stages.tolist(), self.ends.tolist(), strict=True))

    @property
    def history(self) -> list[Generation]:
        """What each stage did."""
        ends: list[int] = self.ends.tolist()
        added = [0] + [now - before for before, now in pairwise(ends)]
        columns = (self.stages.tolist(), ends, added, self.shares.tolist(), self.distances.tolist())
        return [Generation(*row) for row in zip(*columns, strict=True)]

    def begin(self, stage: int) -> None:
        """Begin a generation; in the first stage there are codes at once, and the first batch replaces them.

        Raises StateError where the stage is not later than the last.
        """
        if len(self.stages) and stage <= int(self.stages[-1]):
            raise StateError(
                f"codebook: stage {stage} cannot begin after stage {int(self.stages[-1])}; stages go upwards"
            )
        if not len(self):
            # the same for every seed: `begin` has none, and nothing is drawn from torch's global generator
            random = Generator().manual_seed(derive(0, "codebook", "before the first batch"))
            self._add((2 * torch.rand(self.settings.codes, self.width, generator=random) - 1) / self.settings.codes)
        self.stages = torch.cat([self.stages, self.stages.new_tensor([stage])])
        self.ends = torch.cat([self.ends, self.ends.new_tensor([len(self)])])
        unknown = self.shares.new_full((1,), float("nan"))
        self.shares, self.distances = torch.cat([self.shares, unknown]), torch.cat([self.distances, unknown])

    @property
    def _older(self) -> int:
        """How many codes are of earlier stages."""
        return int(self.ends[-2]) if len(self.ends) > 1 else 0

    def _add(self, codes: Tensor) -> None:
        codes = codes.to(self.codes)
        self.codes, self.weights = torch.cat([self.codes, codes]), torch.cat([self.weights, codes])
        self.counts = torch.cat([self.counts, self.counts.new_ones(len(codes))])
        self.idle = torch.cat([self.idle, self.idle.new_zeros(len(codes))])

    def _place(self, where: Tensor, codes: Tensor) -> None:
        """Put codes in the place of others; new tensors, because a graph may still hold the old ones."""
        self.codes, self.weights = self.codes.clone(), self.weights.clone()
        self.codes[where] = self.weights[where] = codes
        self.counts = self.counts.masked_fill(where, 1.0)
        self.idle = self.idle.masked_fill(where, 0)

    # codes of vectors ----------------------------------------------------------------------------------------------

    def quantise(self, vectors: Tensor, *, first: int | None = None) -> Quantised:
        """Return the nearest codes of vectors (…, D), in their precision; `first`: among the n oldest."""
        return passed(vectors, self.find(vectors, first=first))

    def find(self, vectors: Tensor, *, first: int | None = None) -> Quantised:
        """Return the nearest codes themselves, without a gradient and in the codes' precision."""
        if not len(self):
            raise StateError("codebook: there are no codes yet; begin(stage) makes them")
        codes = self.oldest(first)
        ids = nearest(vectors.detach().reshape(-1, self.width), codes).ids.view(vectors.shape[:-1])
        return Quantised(codes[ids], ids)

    # averages ------------------------------------------------------------------------------------------------------

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
            self._place(torch.ones_like(self.counts, dtype=torch.bool), codes)
            self.drawn = torch.ones_like(self.drawn)

    def _move(self, hits: Tensor, total: Tensor) -> None:
        s = self.settings
        decay = torch.full_like(self.counts, s.decay)
        decay[: self._older] = s.old_decay
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
        dead[: self._older] = False
        count = int(dead.sum())
        if count:
            random = Generator().manual_seed(derive(seed, "codebook", "reset"))
            drawn = rows(len(vectors), count, generator=random).to(vectors.device)
            self._place(dead, vectors[drawn])

    # growth --------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def grow(self, vectors: Tensor, *, seed: int = 0) -> int:
        """Add codes by k-means of those vectors (M, D) that are farther than ρ from every code; not in the first stage.

        With f their share, ΔL = min(`most`, ⌈f L⌉), at most one a vector. ``growth: fixed`` adds `added` codes, by
        k-means of the same vectors, or of the farthest where these are too few. Returns ΔL. Raises StateError where ρ
        was not measured.

        Source: inferred (COMET says only that the codebook expands): quantile trigger, count 1, weight = code.
        """
        s = self.settings
        if len(self.stages) < 2 or not len(vectors):
            return 0
        away = nearest(vectors, self.codes).distances
        known = not bool(self.distances[-2].isnan())
        if s.growth == "novelty" and not known:
            raise StateError(
                f"codebook: how far vectors of stage {int(self.stages[-2])} were from its codes is not known; call "
                "end(vectors) at the end of each stage, or set growth to fixed or none"
            )
        far = away > self.distances[-2]
        count = int(far.sum())
        if known:
            self.shares = torch.cat([self.shares[:-1], self.shares.new_tensor([count / len(vectors)])])
        if s.growth == "none":
            return 0
        if s.growth == "fixed":
            wanted = min(s.added, len(vectors))
            pool = vectors[far] if count >= wanted else vectors[away.topk(wanted).indices]
        else:
            wanted = min(s.most, -(-count * len(self) // len(vectors)), count)
            pool = vectors[far]
        if wanted:
            random = Generator().manual_seed(derive(seed, "codebook", "growth"))
            self._add(means(pool.to(self.codes), wanted, generator=random))
            self.ends = torch.cat([self.ends[:-1], self.ends.new_tensor([len(self)])])
        return wanted

    @torch.no_grad()
    def end(self, vectors: Tensor) -> None:
        """Measure ρ, the quantile of the distance of vectors (M, D), M ≥ 1, to their nearest code."""
        if not len(vectors):
            raise DataError("codebook: end() got no vectors; it needs the mediator's, of the stage that ends")
        measured = nearest(vectors, self.codes).distances.quantile(self.settings.quantile)
        self.distances = torch.cat([self.distances[:-1], measured.to(self.distances)[None]])


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


def passed(vectors: Tensor, found: Quantised) -> Quantised:
    """Return codes in the vectors' precision, with the vectors' gradient; their values are the codes', to the bit."""
    return Quantised(found.vectors.to(vectors.dtype) + (vectors - vectors.detach()), found.ids)
