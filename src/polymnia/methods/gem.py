"""`gem`: a step may raise no earlier stage's loss on what is remembered of it, to first order."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from polymnia.data.stage import Stage
from polymnia.errors import SettingsError
from polymnia.memory.base import MEMORIES, Memory
from polymnia.methods.base import Method, Off, register
from polymnia.methods.quadratic_programme import nonnegative
from polymnia.models.base import Model
from polymnia.randomness import Randomness, derive
from polymnia.state import Tree


class Episodes:
    """A memory of its own for each stage so far, each of so many samples."""

    def __init__(self, capacity: int, seed: int) -> None:
        self.capacity, self.seed = capacity, seed
        self.held: list[Memory] = []

    def __len__(self) -> int:
        return len(self.held)

    def begun(self) -> Memory:
        """Return a new stage's memory, which is kept: a uniform sample of what is added to it."""
        own = Randomness(derive(self.seed, "gem", len(self.held)))
        self.held.append(MEMORIES.get("reservoir")(self.capacity, own))
        return self.held[-1]

    def state_dict(self) -> dict[str, Tree]:
        """Return what all of them hold."""
        return {"held": [memory.state_dict() for memory in self.held]}

    def load_state_dict(self, state: dict[str, Tree]) -> None:
        """Put back what `state_dict` returned."""
        self.held = []
        for memory in state["held"]:
            self.begun().load_state_dict(memory)


@register("gem")
class GEM(Method):
    """Gradient episodic memory: the nearest gradient that opposes no earlier stage's.

    With g the batch's gradient and G (k, P) those of the k earlier stages' memories, where any g·G_i < 0 the gradient
    becomes ``g + Gᵀ(v + margin)``, v the solution of the dual ``min ½ vᵀ G Gᵀ v + (G g)ᵀ v, v ≥ 0``. Each step costs a
    pass over every earlier stage's memory: the cost grows with the stages, as the paper's does.

    Choices: a memory is a uniform sample of its stage, where the paper has the stage's last samples; G Gᵀ gets 1e-3 of
    its mean diagonal on the diagonal, where the authors' code adds 1e-3 whatever the gradients' size. Without a memory,
    it is fine-tuning.

    Source: Lopez-Paz and Ranzato 2017 (Gradient episodic memory), eqs. 8 to 11; γ is `margin`, 0.5 in their code.
    """

    needs = frozenset({"logits"})
    state = ("memory",)
    off: ClassVar[Off] = {"memory": 0}

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """How much is kept, and how much further than needed a gradient is turned."""

        memory: int = 40
        """Samples kept of each stage."""
        margin: float = 0.5
        """γ ≥ 0: above 0, steps favour the earlier stages."""

        def __post_init__(self) -> None:
            for name in ("memory", "margin"):
                if getattr(self, name) < 0:
                    raise SettingsError(f"method.{name}: {getattr(self, name)} is given; at least 0 is needed")

    settings: Settings

    def __init__(self, model: Model, settings: Any = None, *, randomness: Randomness | None = None) -> None:
        super().__init__(model, settings, randomness=randomness)
        self.memory = Episodes(self.settings.memory, self.randomness.seed)

    def after_backward(self) -> None:
        """Turn the gradient, if it opposes an earlier stage's."""
        if not len(self.memory):
            return
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        now = torch.cat([torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten() for p in parameters])
        earlier = torch.stack([self.gradient(memory, parameters) for memory in self.memory.held])
        if not bool((earlier @ now < 0).any()):
            return
        turned = projected(now, earlier, margin=self.settings.margin)
        for p, part in zip(parameters, turned.split([p.numel() for p in parameters]), strict=True):
            p.grad = part.view_as(p).clone()

    def gradient(self, memory: Memory, parameters: Sequence[Tensor]) -> Tensor:
        """Return the gradient (P,) of the loss on all that a memory holds."""
        loss = self.task_loss(self.model(memory.all()))
        found = list(torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True))
        self.average(found)
        return torch.cat([gradient.flatten() for gradient in found])

    def after_stage(self, stage: Stage) -> None:
        """Remember some of the stage's samples."""
        if self.settings.memory:
            memory = self.memory.begun()
            for batch in self.batches(stage.train):
                memory.add(batch)


def projected(gradient: Tensor, earlier: Tensor, *, margin: float = 0.0) -> Tensor:
    """Return the gradient (P,) nearest to one that opposes none of the earlier ones (k, P).

    Source: Lopez-Paz and Ranzato 2017, eq. 11 and the text below it: the margin is added to v.

    Examples
    --------
    >>> projected(torch.tensor([-1.0, 1.0]), torch.tensor([[1.0, 0.0]])).round(decimals=2).tolist()
    [-0.0, 1.0]
    """
    products = earlier.double() @ earlier.double().T
    ridge = 1e-3 * products.diagonal().mean().clamp(min=torch.finfo(torch.float64).tiny)
    ridged = products + ridge * torch.eye(len(products), dtype=torch.float64, device=products.device)
    v = nonnegative(ridged, earlier.double() @ gradient.double())
    return gradient + earlier.T @ (v.to(gradient) + margin)
