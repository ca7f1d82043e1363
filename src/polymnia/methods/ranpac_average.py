"""`ranpac-average`: RanPAC for each modality by itself; their scores are averaged."""

import torch
from torch import Tensor

from polymnia.data.batch import Batch
from polymnia.data.stage import Stage
from polymnia.errors import SettingsError
from polymnia.methods.base import register
from polymnia.methods.features import FeatureMethod
from polymnia.methods.ranpac import RanPAC, best_ridge, ridge_rule
from polymnia.models.base import Model
from polymnia.randomness import Randomness
from polymnia.state import Tree


@register("ranpac-average")
class RanPACAverage(RanPAC):
    """One ridge rule for each modality, ``W_m = (G_m + λ_m I)⁻¹ C_m``; a sample's scores are the mean over its own.

    The rival of whatever learns from modalities together: it cannot see what they say only jointly. Random features
    are those of `ranpac`; each G_m is M × M, so statistics grow with the number of modalities and not with its square,
    and each modality's λ is chosen by itself (on the same held-out fifth).

    What is averaged are the regression's raw scores, not their softmax: with one-hot targets each estimates
    P(class | modality), so they share a scale, and their mean is late fusion as it stands. A softmax of numbers
    between 0 and 1 is nearly uniform, and a temperature would have to be chosen.

    Source: McDonnell et al. 2023, eqs. 3 to 6 and algorithm 1, for each modality; the mean is the sum rule of Kittler
    et al. 1998 (On combining classifiers).
    """

    state = (*FeatureMethod.state, "projections", "grams", "ridges")

    def __init__(
        self, model: Model, settings: RanPAC.Settings | None = None, *, randomness: Randomness | None = None
    ) -> None:
        super().__init__(model, settings, randomness=randomness)
        self.grams: dict[str, Tensor] = {}  # modality → G (M, M)
        self.ridges: dict[str, float] = {}  # modality → λ
        self._alone: dict[str, Tensor] = {}  # modality → W (K, M), solved when first needed

    def room(self, modality: str, width: int) -> int:
        """Make room for the statistics of a new modality, and return M."""
        size = super().room(modality, width)
        self.grams[modality] = torch.zeros(size, size, dtype=torch.float64, device=self.device)
        self.ridges[modality] = self.ridge
        return size

    def grow(self, classes: int) -> None:
        """Make room for classes; there is no Gram matrix over all modalities."""
        FeatureMethod.grow(self, classes)
        self._alone.clear()

    def observe(self, batch: Batch, features: Tensor) -> None:
        """Add to the sums and to each modality's Gram matrix."""
        FeatureMethod.observe(self, batch, features)
        for modality, (start, end) in self.slots.items():
            exact = features[:, start:end].double()
            self.grams[modality].addmm_(exact.T, exact)
        self._alone.clear()

    def rule(self, pattern: tuple[bool, ...]) -> tuple[Tensor, Tensor, Tensor]:
        """Return the columns of the modalities that are there, their W side by side over how many they are, and 0."""
        there = [m for m, has in zip(self.in_order(), pattern, strict=True) if has]
        columns = torch.cat([torch.arange(*self.slots[m], device=self.device) for m in there])
        weight = torch.cat([self._rule_of(m) for m in there], 1) / len(there)
        return columns, weight, weight.new_zeros(len(weight))

    def _rule_of(self, modality: str) -> Tensor:
        if modality not in self._alone:
            start, end = self.slots[modality]
            weight = ridge_rule(self.grams[modality], self.sums[:, start:end], self.ridges[modality])
            if weight is None:
                ridge = self.ridges[modality]
                raise SettingsError(f"method.ridge: {ridge} is too small for the features of {modality!r}; give more")
            self._alone[modality] = weight.float()
        return self._alone[modality]

    def after_stage(self, stage: Stage) -> None:
        """Choose each modality's λ, on the held-out samples that have it."""
        if self.settings.ridge is not None:
            return
        h, targets = self.held_out(stage.train, self.randomness.fresh("held out", stage.index))
        for modality, (start, end) in self.slots.items():
            own = h[:, start:end]
            seen = own.any(1)  # random features of a value are not all 0
            if bool(seen.any()):
                self.ridges[modality] = best_ridge(
                    self.grams[modality], self.sums[:, start:end], own[seen], targets[seen]
                )
        self._alone.clear()

    def load_state_dict(self, state: dict[str, Tree]) -> None:
        """Put the statistics back; rules are solved from them again."""
        super().load_state_dict(state)
        self._alone.clear()
