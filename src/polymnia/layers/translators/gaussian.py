"""`gaussian`: a small network that says where the other modality's vector lies, and how surely."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from polymnia.errors import SettingsError
from polymnia.layers.translators.base import Translator, register
from polymnia.randomness import derive, drawing_from

LOG_VARIANCE = (-6.0, 2.0)


@register("gaussian")
class Gaussian(Translator):
    """MLP D–2D–2D with GELU to mean and log-variance of each dimension, fitted by Adam on the pairs' likelihood.

    Both sides are standardised by the pairs that it is fitted on; a log-variance lies in [−6, 2] on that scale. Steps
    take mini-batches of shuffled pairs, pass after pass. Nothing of it trains before or after `fit`, and fitting again
    starts anew: the same pairs and seed give the same weights.

    Source: inferred for COMET (Xia et al. 2025, pseudo-modality replay), whose abstract names no generator. The
    network, its loss ``1/2 · mean[(z − μ)² / σ² + log σ²]`` and the clamp are a reconstruction. Standardising is chosen
    here, so that the clamp means the same in every space.
    """

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """How long, how fast, and on how many pairs a step it is fitted."""

        steps: int = 400
        lr: float = 3e-3
        batch: int = 256

        def __post_init__(self) -> None:
            for name, least in (("steps", 1), ("batch", 1)):
                if getattr(self, name) < least:
                    raise SettingsError(f"translator.{name}: {getattr(self, name)} is given; at least 1 is accepted")
            if not self.lr > 0:
                raise SettingsError(f"translator.lr: {self.lr} is given; above 0 is accepted")

    settings: Settings
    source_mean: Tensor
    source_scale: Tensor
    target_mean: Tensor
    target_scale: Tensor

    def __init__(self, width: int, settings: Settings | None = None) -> None:
        super().__init__(width, settings)
        for side in ("source", "target"):
            self.register_buffer(f"{side}_mean", torch.zeros(width))
            self.register_buffer(f"{side}_scale", torch.ones(width))
        self.net = _network(width, seed=0).requires_grad_(False)

    def fit(self, source: Tensor, target: Tensor, *, seed: int) -> None:
        """Learn from pairs of vectors (M, D); what is drawn comes from the seed alone.

        Raises
        ------
        DataError
            The pairs do not fit together, or hold values that are not finite.
        """
        with torch.inference_mode(False), torch.enable_grad():
            source, target = self.pairs(source, target, dtype=self.source_mean.dtype)
            self._measure(source, target)
            self.net.load_state_dict(_network(self.width, seed=seed).state_dict())
            self.net.requires_grad_(True)
            try:
                self._descend((source - self.source_mean) / self.source_scale,
                              (target - self.target_mean) / self.target_scale, seed=seed)  # fmt: skip
            finally:
                self.net.requires_grad_(False)
                self.net.zero_grad(set_to_none=True)
        self.fitted.fill_(True)

    def forward(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean and the standard deviation, both (…, D), of what belongs to vectors (…, D).

        Raises
        ------
        StateError
            It has not been fitted.
        """
        self.ready()
        mean, log_variance = self._said((source - self.source_mean) / self.source_scale)
        return self.target_mean + self.target_scale * mean, self.target_scale * (log_variance / 2).exp()

    def _said(self, standard: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.net(standard).chunk(2, -1)
        return mean, log_variance.clamp(*LOG_VARIANCE)

    def _measure(self, source: Tensor, target: Tensor) -> None:
        for mean, scale, vectors in (
            (self.source_mean, self.source_scale, source),
            (self.target_mean, self.target_scale, target),
        ):
            deviation = vectors.std(0, correction=0)
            mean.copy_(vectors.mean(0))
            scale.copy_(torch.where(deviation > 1e-6, deviation, 1.0))  # a constant has no scale to divide by
        self.target_scale.copy_(torch.where(target.std(0, correction=0) > 1e-6, self.target_scale, 1e-6))

    def _descend(self, source: Tensor, target: Tensor, *, seed: int) -> None:
        order = Generator().manual_seed(derive(seed, "translator", "order"))
        adam = torch.optim.Adam(self.net.parameters(), lr=self.settings.lr)
        left = source.new_empty(0, dtype=torch.long)
        for _ in range(self.settings.steps):
            if not len(left):
                left = torch.randperm(len(source), generator=order).to(source.device)
            rows, left = left[: self.settings.batch], left[self.settings.batch :]
            adam.zero_grad(set_to_none=True)
            negative_log_likelihood(target[rows], *self._said(source[rows])).backward()
            adam.step()


def negative_log_likelihood(target: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return ``1/2 · mean[(target − mean)² / σ² + log σ²]``: a diagonal Gaussian's, without its constant.

    Parameters
    ----------
    target, mean, log_variance : Tensor
        (…, D).

    Returns
    -------
    Tensor
        A scalar.

    Examples
    --------
    >>> one, zero = torch.ones(1, 2), torch.zeros(1, 2)
    >>> float(negative_log_likelihood(one, zero, zero))
    0.5
    """
    return ((target - mean).square() / log_variance.exp() + log_variance).mean() / 2


def _network(width: int, *, seed: int) -> nn.Sequential:
    with drawing_from(seed, "translator", "initialisation"):
        return nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, 2 * width))
