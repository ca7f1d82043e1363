"""`si`: synaptic intelligence; what a weight did for the loss on its way says how much it resists later."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from polymnia.data.batch import Batch
from polymnia.data.stage import Stage
from polymnia.losses.quadratic import quadratic
from polymnia.methods.base import Method, Off, Terms, register
from polymnia.methods.parameters import copied, fitted, zeros
from polymnia.models.base import Model
from polymnia.randomness import Randomness


@register("si")
class SI(Method):
    """Synaptic intelligence: importance is gathered along the path of training, at no extra pass.

    ω = −Σ over steps of g · Δθ is what a weight contributed to the fall of the loss; after a stage,
    Ω += max(ω, 0) / ((θ_end − θ_start)² + ξ), and later stages pay ``strength · Σ Ω (θ − θ_end)²``.

    g is the gradient of the task alone: the penalty's own gradient, 2 · strength · Ω (θ − θ_end), is known and taken
    off. It is the gradient before clipping, while Δθ is the step that was really done. Left open by the paper and
    chosen here: ω below 0 (a weight that raised the loss) counts as 0, for a negative Ω would push weights away.

    Source: Zenke, Poole and Ganguli 2017, eqs. 3 to 5.
    """

    state = ("importance", "anchor", "path")
    off: ClassVar[Off] = {"strength": 0.0}

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """How strong, and ξ."""

        strength: float = 1.0
        damping: float = 1e-3
        """ξ: keeps Ω finite where a weight hardly moved."""

    settings: Settings

    def __init__(self, model: Model, settings: Settings | None = None, *, randomness: Randomness | None = None) -> None:
        super().__init__(model, settings, randomness=randomness)
        self.importance: dict[str, Tensor] = {}  # Ω; empty in the first stage
        self.anchor: dict[str, Tensor] = {}  # θ at the start of this stage, which is where the last one ended
        self.path: dict[str, Tensor] = {}  # ω of this stage

    def before_stage(self, stage: Stage) -> None:
        """Set out: nothing is on the path yet."""
        if self.importance:
            self.importance = fitted(self.importance, self.model)
        self.anchor, self.path = copied(self.model), zeros(self.model)

    def loss(self, batch: Batch) -> Terms:
        """Return the task's loss and the penalty."""
        terms = super().loss(batch)
        if self.importance and self.settings.strength:
            held = self.model.trainable()
            terms["si"] = 2 * self.settings.strength * quadratic(
                list(held.values()), [self.importance[n] for n in held], [self.anchor[n] for n in held]
            )  # fmt: skip
        return terms

    def after_backward(self) -> None:
        """Keep the task's gradient and the weights before the step."""
        moving = {name: p for name, p in self.model.trainable().items() if p.grad is not None}
        self._moving = moving
        self._before = [p.detach().clone() for p in moving.values()]
        self._task = [p.grad.clone() for p in moving.values() if p.grad is not None]
        if self.importance and self.settings.strength:
            pull = torch._foreach_sub(self._before, [self.anchor[n] for n in moving])
            torch._foreach_mul_(pull, [self.importance[n] for n in moving])
            torch._foreach_sub_(self._task, pull, alpha=2 * self.settings.strength)

    def after_step(self) -> None:
        """Add −g · Δθ of this step to the path."""
        gone = torch._foreach_sub(self._before, [p.detach() for p in self._moving.values()])  # −Δθ
        torch._foreach_addcmul_([self.path[n] for n in self._moving], self._task, gone)

    def after_stage(self, stage: Stage) -> None:
        """Turn the path into importance."""
        now, old = copied(self.model), self.importance or zeros(self.model)
        ξ = self.settings.damping
        self.importance = {
            n: old[n] + self.path[n].clamp(min=0) / ((now[n] - self.anchor[n]).square() + ξ) for n in now
        }
        self.anchor, self.path = now, zeros(self.model)
