"""`ridge`: each modality's linear map into the mediator's space, in closed form; the cheapest rival."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from polymnia.data.batch import Batch
from polymnia.data.stage import Stage
from polymnia.errors import SettingsError
from polymnia.methods.base import Method, Off, Terms, register
from polymnia.models.base import Model
from polymnia.randomness import Randomness


@register("ridge")
class Ridge(Method):
    """Ridge regression from a modality's tokens to the mediator's, fitted once, in the modality's own stage.

    ``W = (XᵀX + λ tr(XᵀX)/d · I)⁻¹ XᵀY`` over centred tokens. Nothing is trained by gradients, and nothing old moves.

    Source: Hoerl and Kennard 1970, eq. 2.1; λ in units of the mean variance, so that it does not depend on scale.
    """

    needs = frozenset({"space"})
    passes = 1
    parts = MappingProxyType({"path": "given", "projector": "linear", "freeze": True})
    off: ClassVar[Off] = "it trains nothing by gradients; fine-tuning does"

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """How much it is held back."""

        strength: float = 0.1
        """λ."""

        def __post_init__(self) -> None:
            if self.strength <= 0:
                raise SettingsError(f"method.strength: {self.strength} is given, and a number above 0 is needed")

    settings: Settings
    model: Any

    def __init__(self, model: Model, settings: Any = None, *, randomness: Randomness | None = None) -> None:
        super().__init__(model, settings, randomness=randomness)
        held = self.model.settings
        given = {"path": held.path, "projector": held.projector, "dropout": held.dropout, "adapter": held.adapter}
        needed = {"path": "given", "projector": "linear", "dropout": 0.0, "adapter": None}
        wrong = [name for name in needed if given[name] != needed[name]]
        if wrong:
            raise SettingsError(
                f"method 'ridge' maps into the mediator's own space by one linear map, which model.{wrong[0]}="
                f"{given[wrong[0]]!r} is not; it needs {', '.join(f'model.{name}={needed[name]}' for name in needed)}"
            )

    def loss(self, batch: Batch) -> Terms:
        """Return nothing: there is nothing to step."""
        return {}

    @torch.no_grad()
    def after_stage(self, stage: Stage) -> None:
        """Solve for the map of each modality that this stage brought."""
        mediator = self.model.settings.mediator
        for m in stage.modalities:
            if m == mediator or self.model.stages(m) != [stage.index]:
                continue
            pairs = []
            for batch in self.batches(stage.train):
                tokens, both = self.model.tokens(batch), batch.has(m) & batch.has(mediator)
                pairs.append([tokens.values[name][both].flatten(0, 1) for name in (m, mediator)])
            x, y = (torch.cat(side) for side in zip(*pairs, strict=True))
            if not len(x):
                continue
            weight = ridge(x, y, strength=self.settings.strength)
            linear = cast(nn.Linear, self.model.projectors[m].map)
            linear.weight.copy_(weight.T)
            linear.bias.copy_(y.double().mean(0) - x.double().mean(0) @ weight)


def ridge(x: Tensor, y: Tensor, *, strength: float) -> Tensor:
    """Return W (d, D) for which (x − mean) W is nearest to (y − mean), held back by `strength`.

    Parameters
    ----------
    x, y : Tensor
        (M, d) and (M, D).
    strength : float
        λ, in units of the mean variance of x.

    Examples
    --------
    >>> x = torch.tensor([[-1.0], [0.0], [1.0]])
    >>> float(ridge(x, 3 * x, strength=0.5))  # 3 · 2 / (2 + 0.5 · 2)
    2.0
    """
    x, y = x.double(), y.double()
    x, y = x - x.mean(0), y - y.mean(0)
    gram = x.T @ x
    unit = (gram.trace() / len(gram)).clamp(min=1e-12)  # without any variance the map is 0
    held = gram + strength * unit * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    return torch.linalg.solve(held, x.T @ y)
