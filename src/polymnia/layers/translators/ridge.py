"""`ridge`: the linear map that needs no steps, and one deviation for each dimension."""

from dataclasses import dataclass

import torch
from torch import Tensor

from polymnia.errors import SettingsError
from polymnia.layers.translators.base import Translator, register


@register("ridge")
class Ridge(Translator):
    """Ridge regression with an intercept, in closed form; the deviation is that of its residuals, the same everywhere.

    ``W = (XᵀX + strength · I)⁻¹ XᵀY`` on centred pairs, solved in 64 bit. The cheap rival of `gaussian`, and by itself
    the map from a modality into the mediator's space. Nothing is drawn.

    Source: Hoerl and Kennard 1970.

    Examples
    --------
    >>> x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    >>> ridge = Ridge(3, Ridge.Settings(strength=1e-6))
    >>> ridge.fit(x, 2 * x + 1, seed=0)
    >>> mean, deviation = ridge(torch.zeros(3))
    >>> mean.round(decimals=3).tolist(), bool((deviation < 1e-3).all())
    ([1.0, 1.0, 1.0], True)
    """

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """How strongly the map is held at zero."""

        strength: float = 1.0

        def __post_init__(self) -> None:
            if not self.strength > 0:
                raise SettingsError(f"translator.strength: {self.strength} is given; above 0 is accepted")

    settings: Settings
    weight: Tensor
    bias: Tensor
    deviation: Tensor

    def __init__(self, width: int, settings: Settings | None = None) -> None:
        super().__init__(width, settings)
        self.register_buffer("weight", torch.zeros(width, width))
        self.register_buffer("bias", torch.zeros(width))
        self.register_buffer("deviation", torch.ones(width))

    @torch.no_grad()
    def fit(self, source: Tensor, target: Tensor, *, seed: int) -> None:
        """Learn from pairs of vectors (M, D); the seed has nothing to decide.

        Raises
        ------
        DataError
            The pairs do not fit together, or hold values that are not finite.
        """
        x, y = self.pairs(source, target, dtype=torch.float64)
        x_mean, y_mean = x.mean(0), y.mean(0)
        x, y = x - x_mean, y - y_mean
        held = self.settings.strength * torch.eye(self.width, dtype=x.dtype, device=x.device)
        weight = torch.linalg.solve(x.mT @ x + held, x.mT @ y)  # (D, D): rows are dimensions of the source
        self.weight.copy_(weight)
        self.bias.copy_(y_mean - x_mean @ weight)
        self.deviation.copy_((y - x @ weight).square().mean(0).sqrt())
        self.fitted.fill_(True)

    def forward(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean and the standard deviation, both (…, D), of what belongs to vectors (…, D).

        Raises
        ------
        StateError
            It has not been fitted.
        """
        self.ready()
        mean = source @ self.weight + self.bias
        return mean, self.deviation.expand_as(mean)
