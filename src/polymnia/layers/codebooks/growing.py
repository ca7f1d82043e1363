"""A codebook that grows by stage: which codes are whose, what is far from all of them, and what is added for it."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

import torch
from torch import Generator, Tensor

from polymnia.errors import DataError, SettingsError, StateError
from polymnia.layers.codebooks.base import Codebook, Quantised
from polymnia.layers.codebooks.clusters import means
from polymnia.layers.codebooks.nearest import nearest
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


class Growing(Codebook):
    """Base of codebooks that grow: each stage is a generation of codes.

    A code is of the stage in which it was added; the newest generation is that of the stage under way. What a stage
    did is in buffers, so that it comes back with the state.

    Source: inferred (COMET, Xia et al. 2025, says only that the codebook expands); `grow` names the rule.
    """

    stages: Tensor
    ends: Tensor
    shares: Tensor
    distances: Tensor

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """How many codes there are, and how many are added."""

        codes: int = 400
        """Codes of the first stage."""
        quantile: float = 0.95
        """Of the distances to the nearest code at a stage's end; what lies farther in the next stage is new."""
        growth: Literal["novelty", "fixed", "none"] = "novelty"
        most: int = 200
        """Codes that a stage may add by novelty."""
        added: int = 0
        """Codes that each later stage adds with `growth: fixed`."""

        def __post_init__(self) -> None:
            self._at_least(codes=1, most=0, added=1 if self.growth == "fixed" else 0)
            self._shares("quantile")
            if self.growth not in ("novelty", "fixed", "none"):
                raise SettingsError(f"codebook.growth: {self.growth!r} is given; novelty, fixed or none is accepted")

        def _at_least(self, **bounds: float) -> None:
            for name, bound in bounds.items():
                value = getattr(self, name)
                if value is not None and not value >= bound:
                    raise SettingsError(f"codebook.{name}: {value} is given; at least {bound} is accepted")

        def _shares(self, *names: str) -> None:
            for name in names:
                if not 0 <= getattr(self, name) <= 1:
                    raise SettingsError(f"codebook.{name}: {getattr(self, name)} is given; 0 to 1 is accepted")

    def __init__(self, width: int, settings: Settings | None = None) -> None:
        super().__init__(width, settings)
        # a row a stage; named in `history`
        self.register_buffer("stages", torch.zeros(0, dtype=torch.long))
        self.register_buffer("ends", torch.zeros(0, dtype=torch.long))
        self.register_buffer("shares", torch.zeros(0))
        self.register_buffer("distances", torch.zeros(0))

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

    @property
    def older(self) -> int:
        """How many codes are of earlier stages."""
        return int(self.ends[-2]) if len(self.ends) > 1 else 0

    def begin(self, stage: int) -> None:
        """Begin a generation; in the first stage there are codes at once, within ±1/L, until something better comes.

        Raises StateError where the stage is not later than the last.
        """
        if len(self.stages) and stage <= int(self.stages[-1]):
            raise StateError(
                f"codebook: stage {stage} cannot begin after stage {int(self.stages[-1])}; stages go upwards"
            )
        if not len(self):
            # the same for every seed: `begin` has none, and nothing is drawn from torch's global generator
            random = Generator().manual_seed(derive(0, "codebook", "before the first batch"))
            self.add((2 * torch.rand(self.settings.codes, self.width, generator=random) - 1) / self.settings.codes)
        self.stages = torch.cat([self.stages, self.stages.new_tensor([stage])])
        self.ends = torch.cat([self.ends, self.ends.new_tensor([len(self)])])
        unknown = self.shares.new_full((1,), float("nan"))
        self.shares, self.distances = torch.cat([self.shares, unknown]), torch.cat([self.distances, unknown])

    def add(self, codes: Tensor) -> None:
        """Add codes (n, D) behind those that are there."""
        self.codes = torch.cat([self.codes, codes.to(self.codes)])

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

    @torch.no_grad()
    def grow(self, vectors: Tensor, *, seed: int = 0) -> int:
        """Add codes by k-means of those vectors (M, D) that are farther than ρ from every code; not in the first stage.

        With f their share, ΔL = min(`most`, ⌈f L⌉), at most one a vector. ``growth: fixed`` adds `added` codes, by
        k-means of the same vectors, or of the farthest where these are too few: the control. f is kept even where
        nothing may grow. Returns ΔL. Raises StateError where ρ was not measured and is needed.
        """
        s: Growing.Settings = self.settings
        if len(self.stages) < 2 or not len(vectors):
            return 0
        known = not bool(self.distances[-2].isnan())
        if s.growth == "novelty" and not known:
            raise StateError(
                f"codebook: how far vectors of stage {int(self.stages[-2])} were from its codes is not known; call "
                "end(vectors) at the end of each stage, or set growth to fixed or none"
            )
        away = nearest(vectors, self.codes).distances
        far = away > self.distances[-2]
        count = int(far.sum())
        if known:
            self.shares = torch.cat([self.shares[:-1], self.shares.new_tensor([count / len(vectors)])])
        wanted = {
            "none": 0,
            "fixed": min(s.added, len(vectors)),
            "novelty": min(s.most, -(-count * len(self) // len(vectors)), count),  # in whole numbers: 0.05 · 20 is 1
        }[s.growth]
        if wanted:
            pool = vectors[far] if count >= wanted else vectors[away.topk(wanted).indices]
            random = Generator().manual_seed(derive(seed, "codebook", "growth"))
            self.add(means(pool.to(self.codes), wanted, generator=random))
            self.ends = torch.cat([self.ends[:-1], self.ends.new_tensor([len(self)])])
        return wanted

    @torch.no_grad()
    def end(self, vectors: Tensor) -> None:
        """Measure ρ, the quantile of the distance of vectors (M, D), M ≥ 1, to their nearest code."""
        if not len(vectors):
            raise DataError("codebook: end() got no vectors; it needs the mediator's, of the stage that ends")
        measured = nearest(vectors, self.codes).distances.quantile(self.settings.quantile)
        self.distances = torch.cat([self.distances[:-1], measured.to(self.distances)[None]])


def passed(vectors: Tensor, found: Quantised) -> Quantised:
    """Return codes in the vectors' precision, with the vectors' gradient; their values are the codes', to the bit."""
    return Quantised(found.vectors.to(vectors.dtype) + (vectors - vectors.detach()), found.ids)
