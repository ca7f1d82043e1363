"""`slda`: streaming linear discriminant analysis over frozen features."""

from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from polymnia.data.batch import Batch
from polymnia.errors import SettingsError
from polymnia.methods.base import register
from polymnia.methods.features import padded
from polymnia.methods.linear_rule import LinearRule
from polymnia.models.base import Model
from polymnia.randomness import Randomness


@register("slda")
class SLDA(LinearRule):
    """A Gaussian a class with one covariance for all, over frozen features: class means that know which way is noise.

    With Λ = ((1 − ε) Σ + ε I)⁻¹ and class means μ, the score of a class is ``μᵀ Λ z − ½ μᵀ Λ μ``. A sample that lacks
    a modality is scored under the marginal Gaussians of those it has, which are the same μ and Σ with fewer columns.

    Σ is the covariance around the class means, as of one pass over all samples: it is kept as sums, which do not
    depend on the order, where the paper's running update of Σ uses the mean as it was when the sample came. A value
    that is missing in training counts as its class's mean, and each modality's part of Σ is over the samples that
    have it. All classes count as equally likely, as in the paper.

    Source: Hayes and Kanan 2020, eqs. 1 to 4.
    """

    state = (*LinearRule.state, "among")

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """How much the covariance is drawn towards a sphere."""

        shrinkage: float = 1e-4
        """ε."""

        def __post_init__(self) -> None:
            if not 0 < self.shrinkage <= 1:
                raise SettingsError(f"method.shrinkage: {self.shrinkage} is given; accepted: above 0, up to 1")

    settings: Settings

    def __init__(self, model: Model, settings: Settings | None = None, *, randomness: Randomness | None = None) -> None:
        super().__init__(model, settings, randomness=randomness)
        self.among: dict[str, list[Tensor]] = {}  # modality → `sums`, and who has which (K, S), of those that have it

    def grow(self, classes: int) -> None:
        """Make room in the sums per modality too."""
        super().grow(classes)
        none = [self.sums.new_zeros(0, 0)] * 2
        shapes = (classes, self.width), (classes, len(self.slots))
        self.among = {
            m: [padded(old, *shape) for old, shape in zip(self.among.get(m, none), shapes, strict=True)]
            for m in self.slots
        }

    def observe(self, batch: Batch, features: Tensor) -> None:
        """Add to the sums of those that have each modality."""
        super().observe(batch, features)
        has = torch.stack([batch.has(m) for m in self.in_order()], 1).to(self.sums)
        for modality, (sums, pairs) in self.among.items():
            mine = batch.has(modality)
            sums.index_add_(0, batch.targets[mine], features[mine].to(sums))
            pairs.index_add_(0, batch.targets[mine], has[mine])

    def solve(self, columns: Tensor) -> tuple[Tensor, Tensor]:
        """Return W = M Λ and b = −½ diag(M Λ Mᵀ), for class means M (K, D')."""
        means = self.means()[:, columns]
        shrunk = (1 - self.settings.shrinkage) * self.covariance()[columns][:, columns]
        shrunk.diagonal().add_(self.settings.shrinkage)
        weight = torch.cholesky_solve(means.T, torch.linalg.cholesky(shrunk)).T
        return weight, -(weight * means).sum(1) / 2

    def covariance(self) -> Tensor:
        """Return Σ (D, D).

        With r the difference of a value to its class's mean, 0 where it is missing, a block of two modalities is
        Σ r r'ᵀ / √(n n'), for n and n' samples that have them: never indefinite, and exact where nothing is missing.
        Σ r r'ᵀ over samples that have both is Σ z z'ᵀ − Σ_k (s μ'ᵀ + μ s'ᵀ − c μ μ'ᵀ), with their count c and sums s.
        """
        means, covariance = self.means(), self.gram.clone()
        for one, (j, other) in product(self.in_order(), enumerate(self.in_order())):
            rows, columns = slice(*self.slots[one]), slice(*self.slots[other])
            μ, ν = means[:, rows], means[:, columns]
            (s, _), (t, both) = self.among[other], self.among[one]
            block = covariance[rows, columns]
            block -= s[:, rows].T @ ν + μ.T @ t[:, columns] - (both[:, j, None] * μ).T @ ν
            block /= (self.seen[one].sum() * self.seen[other].sum()).sqrt().clamp(min=1)
        return covariance
