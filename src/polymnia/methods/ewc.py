"""`ewc`: elastic weight consolidation, online or with one anchor per stage, at the same cost."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from polymnia.data.batch import Batch
from polymnia.data.stage import Stage
from polymnia.errors import SettingsError
from polymnia.losses.quadratic import quadratic
from polymnia.methods.adding import Adding
from polymnia.methods.base import Off, Terms, register
from polymnia.methods.fisher import Labels, fisher_diagonal
from polymnia.methods.parameters import copied, fitted, zeros
from polymnia.models.base import Model
from polymnia.randomness import Randomness

Held = dict[str, Tensor]
"""One value for each weight, by the parameter's name."""


@register("ewc")
class EWC(Adding):
    """Elastic weight consolidation: old weights resist in proportion to how much old stages need them.

    Adds ``strength / 2 · Σ F · (θ − θ*)²``; F is the mean over samples of the squared gradient of log p(y | x)
    (the true per-sample Fisher diagonal, so `strength` does not compare with libraries that square batch means).
    Rows of a head and modalities that came after a stage are free of its penalty.

    In mode "online", F is the `decay`-weighted sum over stages and θ* the weights after the last one. In mode
    "per-stage" each stage k keeps its own F_k and θ_k; the sum of their parabolas is one parabola,
    ``Σ_k F_k (θ − θ_k)² = S (θ − m)² + c`` with S = Σ F_k and m = Σ F_k θ_k / S, so it costs the same at any stage.

    Source: Kirkpatrick et al. 2017, eq. 3 (per-stage); Schwarz et al. 2018, eq. 8 (online).
    """

    needs = frozenset({"logits"})
    state = ("importance", "anchor", "constant")
    off: ClassVar[Off] = {"strength": 0.0}

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """How strong, and what is kept."""

        strength: float = 1.0
        mode: Literal["online", "per-stage"] = "online"
        decay: float = 1.0
        """γ of online EWC: what stays of the older importance at each stage."""
        labels: Labels = "given"
        """Whose log-likelihood F is made of: the sample's label, or one drawn from the model's own p(y | x)."""
        samples: int | None = None
        """F is the mean over so many drawn samples of a stage; none: over all, which takes long over texts."""

        def __post_init__(self) -> None:
            if self.samples is not None and self.samples < 1:
                raise SettingsError(f"method.samples: {self.samples} is given, and at least 1 is needed (or null)")
            if self.mode == "per-stage" and self.decay != 1.0:
                raise SettingsError(f"method.decay: {self.decay} is given; mode 'per-stage' forgets nothing: leave 1.0")

    settings: Settings

    def __init__(self, model: Model, settings: Settings | None = None, *, randomness: Randomness | None = None) -> None:
        super().__init__(model, settings, randomness=randomness)
        self.importance: Held = {}  # F, summed; empty in the first stage
        self.anchor: Held = {}
        self.constant = 0.0  # c, summed over all weights: no gradient, but so the loss that is shown is the true one

    def before_stage(self, stage: Stage) -> None:
        """Give what is kept the shapes that the model has grown to."""
        if self.importance:
            self.importance, self.anchor = fitted(self.importance, self.model), fitted(self.anchor, self.model)

    def added(self, batch: Batch) -> Terms:
        """Return the penalty."""
        if not self.importance or not self.settings.strength:
            return {}
        return {"ewc": self.settings.strength * self.penalty()}

    def penalty(self) -> Tensor:
        """Return ½ Σ F · (θ − θ*)² over all stages so far."""
        held = self.model.trainable()
        pull = quadratic(list(held.values()), [self.importance[n] for n in held], [self.anchor[n] for n in held])
        return pull + self.constant / 2

    def after_stage(self, stage: Stage) -> None:
        """Measure what this stage needs, and add it to what is kept."""
        random, s, train = self.randomness.fresh("fisher", stage.index), self.settings, stage.train
        if s.samples is not None and s.samples < len(train):
            train = train.subset(torch.randperm(len(train), generator=random)[: s.samples])
        fisher = fisher_diagonal(self.model, self.batches(train, 512), labels=s.labels, generator=random)
        old, now = self.importance or zeros(self.model), copied(self.model)
        was = self.anchor or now
        if self.settings.mode == "online":
            self.importance = {n: self.settings.decay * old[n] + f for n, f in fisher.items()}
            self.anchor = now
        else:
            self.importance, self.anchor = self.folded(old, was, fisher, now)

    def folded(self, old: Held, was: Held, fisher: Held, now: Held) -> tuple[Held, Held]:
        """Return S and m with one more parabola F (θ − θ_now)², and put what is left over into `constant`."""
        importance = {n: old[n] + f for n, f in fisher.items()}
        share = {n: (f / importance[n]).nan_to_num(1.0) for n, f in fisher.items()}  # 0 / 0: no stage needs it
        away = {n: now[n] - was[n] for n in fisher}
        self.constant += sum(float((old[n] * share[n] * away[n].square()).sum()) for n in fisher)
        return importance, {n: was[n] + share[n] * away[n] for n in fisher}
