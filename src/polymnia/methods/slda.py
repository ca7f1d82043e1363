"""`slda`: streaming linear discriminant analysis over frozen features."""

from dataclasses import dataclass

import torch
from torch import Tensor

from polymnia.errors import SettingsError
from polymnia.methods.base import register
from polymnia.methods.features import LinearRule


@register("slda")
class SLDA(LinearRule):
    """A Gaussian a class with one covariance for all, over frozen features: class means that know which way is noise.

    With Λ = ((1 − ε) Σ + ε I)⁻¹ and class means μ, the score of a class is ``μᵀ Λ z − ½ μᵀ Λ μ``.

    Σ is the covariance around the class means, as of one pass over all samples: it is kept as sums (Σ z zᵀ, and per
    class the sum and the count), which do not depend on the order, where the paper's running update of Σ uses the
    mean as it was when the sample came. All classes count as equally likely, as in the paper.

    Source: Hayes and Kanan 2020, eqs. 1 to 4.
    """

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """How much the covariance is drawn towards a sphere."""

        shrinkage: float = 1e-4
        """ε."""

        def __post_init__(self) -> None:
            if not 0 < self.shrinkage <= 1:
                raise SettingsError(f"method.shrinkage: {self.shrinkage} is given; accepted: above 0, up to 1")

    settings: Settings

    def solve(self) -> tuple[Tensor, Tensor]:
        """Return W = M Λ and b = −½ diag(M Λ Mᵀ), for class means M (K, D)."""
        means = self.sums / self.counts.clamp(min=1)[:, None]
        shrunk = (1 - self.settings.shrinkage) * self.covariance()
        shrunk.diagonal().add_(self.settings.shrinkage)
        weight = torch.cholesky_solve(means.T, torch.linalg.cholesky(shrunk)).T
        return weight, -(weight * means).sum(1) / 2

    def covariance(self) -> Tensor:
        """Return Σ (D, D): the mean of (z − μ)(z − μ)ᵀ, each sample around its class's mean."""
        means = self.sums / self.counts.clamp(min=1)[:, None]
        return (self.gram - self.sums.T @ means) / self.counts.sum().clamp(min=1)
