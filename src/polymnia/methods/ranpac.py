"""`ranpac`: ridge regression over random features of frozen features."""

from dataclasses import dataclass

import torch
from torch import Tensor

from polymnia.data.batch import Batch
from polymnia.data.samples import Samples
from polymnia.data.stage import Stage
from polymnia.errors import SettingsError
from polymnia.methods.base import register
from polymnia.methods.linear_rule import LinearRule
from polymnia.models.base import Model
from polymnia.randomness import Randomness

RIDGES = tuple(10.0**power for power in range(-3, 6))
"""What λ is chosen from."""


@register("ranpac")
class RanPAC(LinearRule):
    """Ridge regression to one-hot classes over random features, with nothing kept but sums: ``W = (G + λ I)⁻¹ C``.

    h = ReLU(z P) with a fixed random P; G = Σ h hᵀ, and C holds the class sums of h, so the rule is that of training
    on all stages at once. λ is chosen after each stage: a fifth of its training samples (at most 2,000) is taken out
    of G and C again, and the λ of least squared error on them is used from then on. The paper chooses it on the
    current task's statistics alone; here all of the past stays in.

    Each modality has its own P (independent normal entries, from the seed and the modality's name) and its own M
    random features: for one modality that is the paper, for several it lets a sample that lacks one be scored by
    the ridge regression over the others. G takes 8 M² bytes for one modality, and 9 times as many for three.
    The paper's first-session adaptation of the backbone is left out: encoders are frozen.

    Source: McDonnell et al. 2023, eqs. 3 to 6 and algorithm 1 (their M is 10,000).
    """

    state = (*LinearRule.state, "projections", "ridge")

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """How many random features, and λ."""

        features: int = 500
        """M, for each modality; more is better, and G grows with its square."""
        ridge: float | None = None
        """λ; none: chosen after each stage."""

        def __post_init__(self) -> None:
            if self.features < 1:
                raise SettingsError(f"method.features: {self.features} is given, and at least 1 is needed")
            if self.ridge is not None and self.ridge <= 0:
                raise SettingsError(f"method.ridge: {self.ridge} is given, and a number above 0 is needed")

    settings: Settings

    def __init__(self, model: Model, settings: Settings | None = None, *, randomness: Randomness | None = None) -> None:
        super().__init__(model, settings, randomness=randomness)
        self.projections: dict[str, Tensor] = {}  # modality → P (d, M)
        self.ridge = 1.0 if self.settings.ridge is None else self.settings.ridge

    def room(self, modality: str, width: int) -> int:
        """Draw the P of a new modality, and return M."""
        random = self.randomness.fresh("random features", modality)
        self.projections[modality] = torch.randn(width, self.settings.features, generator=random).to(self.device)
        return self.settings.features

    def vector(self, batch: Batch, modality: str) -> Tensor:
        """Return h (B, M)."""
        return (super().vector(batch, modality) @ self.projections[modality]).relu()

    def solve(self, columns: Tensor) -> tuple[Tensor, Tensor]:
        """Return W, and no bias."""
        weight = ridge_rule(self.gram[columns][:, columns], self.sums[:, columns], self.ridge)
        if weight is None:
            raise SettingsError(f"method.ridge: {self.ridge} is too small for these features; give a larger one")
        return weight, weight.new_zeros(len(weight))

    def after_stage(self, stage: Stage) -> None:
        """Choose λ."""
        if self.settings.ridge is None:
            self.ridge = self.chosen(stage.train, self.randomness.fresh("held out", stage.index))
            self._rules.clear()

    def chosen(self, samples: Samples, random: torch.Generator) -> float:
        """Return the λ of least squared error on a held-out fifth; as it was when a fifth is nothing."""
        h, targets = self.held_out(samples, random)
        return best_ridge(self.gram, self.sums, h, targets) if len(h) else self.ridge

    def held_out(self, samples: Samples, random: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return features (n, D) and targets (n,) of a fifth of the labelled samples, at most 2,000."""
        labelled = (samples.targets >= 0).nonzero().flatten()
        out = labelled[torch.randperm(len(labelled), generator=random)][: min(len(labelled) // 5, 2000)]
        parts = [(self.features(batch).double(), batch.targets) for batch in self.batches(samples.subset(out))]
        empty = self.sums.new_zeros(0, self.width), out[:0]
        return (torch.cat([h for h, _ in parts]), torch.cat([t for _, t in parts])) if parts else empty


def best_ridge(gram: Tensor, sums: Tensor, h: Tensor, targets: Tensor) -> float:
    """Return the λ of least squared error on samples h (n, M) and targets (n,), which are taken out of G and C."""
    gram, sums = gram.addmm(h.T, h, alpha=-1), sums.index_add(0, targets, h, alpha=-1)
    wanted = torch.nn.functional.one_hot(targets, len(sums)).double()
    errors = {}
    for ridge in RIDGES:
        weight = ridge_rule(gram, sums, ridge)
        errors[ridge] = float("inf") if weight is None else float((h @ weight.T - wanted).square().sum())
    return min(errors, key=lambda ridge: errors[ridge])


def ridge_rule(gram: Tensor, sums: Tensor, ridge: float) -> Tensor | None:
    """Return (G + λ I)⁻¹ C as (K, M), or None where λ is too small to solve for."""
    regular = gram.clone()
    regular.diagonal().add_(ridge)
    factor, failed = torch.linalg.cholesky_ex(regular)
    return None if int(failed) else torch.cholesky_solve(sums.T, factor).T
