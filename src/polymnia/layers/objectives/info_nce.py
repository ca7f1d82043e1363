"""`info-nce`: a row finds its own step of the other modality among the same steps of the other rows."""

from dataclasses import dataclass

from torch import Tensor

from polymnia.layers.objectives.base import Objective, register
from polymnia.layers.objectives.contrast import Level, above, products, units


@register("info-nce")
class InfoNCE(Objective):
    """InfoNCE between two modalities by cosine, step by step, the mean of both ways; it has no weights.

    ``L = 1/2N Σ_t 1/B Σ_i −log [exp(s(a_it, b_it) / T) / Σ_j exp(s(a_it, b_jt) / T)]``, and the same from b to a. Other
    steps of the same clip are no negatives: neighbours often say the same. For single vectors (N = 1) it is InfoNCE
    as everyone knows it. A batch in which nothing can be told apart gives log B.

    Source: van den Oord et al. 2018, eq. 4; both ways and by cosine as in Radford et al. 2021, section 2.3. That it can
    stand in the place of predictive coding is what Huang et al. 2025 (MICU, arXiv 2507.14935) do; they also use it for
    clips (`level: clip`). What is compared with what inside a clip is inferred.
    """

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """How sharp, and what is compared."""

        temperature: float = 0.1
        level: Level = "step"
        """Each step, or the mean over steps."""

        def __post_init__(self) -> None:
            above("temperature", self.temperature, 0)

    settings: Settings

    def compared(self, one: str, a: Tensor, other: str, b: Tensor) -> list[Tensor]:
        """Return the cosines over the temperature, both ways, each (N, B, B), or (1, B, B) for clips."""
        level = self.settings.level
        scores = products(units(a, level), units(b, level)) / self.settings.temperature
        return [scores, scores.mT]
