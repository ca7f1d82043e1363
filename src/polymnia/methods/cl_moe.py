"""`cl-moe`: after a stage, experts move back towards what they were, more or less by whether stages share them."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor

from polymnia.data.stage import Stage
from polymnia.errors import SettingsError
from polymnia.layers.deltas.lora import LowRank
from polymnia.layers.deltas.mixture import Mixture
from polymnia.methods.base import Method, Off, register
from polymnia.models.base import Model
from polymnia.randomness import Randomness


@register("cl-moe")
class CLMoE(Method):
    """Momentum of experts: what a stage learned is averaged with what was there, each expert by its own share.

    After a stage, each place's router is asked how much each expert counts for the stage's tokens, on average; the
    `top` experts are the stage's. An expert that is the stage's and was an earlier one's is shared, one that is the
    stage's alone is its own, any other belongs to others: its weights become ``share · before + (1 − share) · now``
    with `shared`, `own` and `others` as shares. The first stage stays as it was learned. Bridges and routers are
    trained on, and get no momentum.

    In the style of the paper, not the paper: from it are the mixture with a router for each token, the stage's mean
    weights as a router of the task, the kinds of experts and their momentum. Inferred are the shares' values, and that
    an expert counts as earlier stages' if it was any one's. Left out is the router of the task at inference, which
    guesses the task from clusters of features and mixes its experts in; here the token's router alone decides.

    Source: Huai et al. 2025 (CL-MoE: Dual momentum mixture-of-experts for continual visual question answering).
    """

    needs = frozenset({"text"})
    state = ("used", "before")
    parts = MappingProxyType({"delta": {"name": "mixture", "experts": 8, "rank": 8}})
    off: ClassVar[Off] = MappingProxyType({"shared": 0.0, "own": 0.0, "others": 0.0})

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """How much of what was before stays, by whose an expert is."""

        top: int = 2
        """Experts of a stage at each place."""
        shared: float = 0.5
        own: float = 0.3
        others: float = 0.7
        samples: int = 64
        """Of a stage, by which its experts are told; they are looked at one by one, so that padding is no token."""

        def __post_init__(self) -> None:
            for name in ("shared", "own", "others"):
                if not 0 <= getattr(self, name) <= 1:
                    raise SettingsError(f"method.{name}: {getattr(self, name)} is given; a share from 0 to 1 is needed")
            for name in ("top", "samples"):
                if getattr(self, name) < 1:
                    raise SettingsError(f"method.{name}: {getattr(self, name)} is given, and at least 1 is needed")

    settings: Settings
    model: Any

    def __init__(self, model: Model, settings: Any = None, *, randomness: Randomness | None = None) -> None:
        super().__init__(model, settings, randomness=randomness)
        self.used: dict[str, Tensor] = {}  # place → (E,) whether an expert was a stage's
        self.before: dict[str, Tensor] = {}  # the experts' weights before this stage, by the parameter's name
        delta = getattr(model.settings, "delta", None) or {"name": "none"}
        if delta["name"] != Mixture.name and self._moves:
            raise SettingsError(
                f"method: 'cl-moe' needs experts, and model.delta is {delta['name']!r}. Take model.delta={Mixture.name}"
            )

    @property
    def _moves(self) -> bool:
        return any((self.settings.shared, self.settings.own, self.settings.others))

    @property
    def places(self) -> dict[str, Mixture]:
        """The mixtures, by name."""
        return {name: delta for name, delta in self.model.deltas.items() if isinstance(delta, Mixture)}

    def before_stage(self, stage: Stage) -> None:
        """Keep the experts' weights as they are."""
        if self._moves and self.used:
            self.before = {
                f"{place}/{name}": p.detach().clone()
                for place, delta in self.places.items()
                for name, p in delta.experts.named_parameters()
            }

    def after_stage(self, stage: Stage) -> None:
        """Tell whose each expert is, and move it back by its share."""
        if not self._moves:
            return
        for place, weights in self.weights(stage).items():
            delta, now = self.places[place], torch.zeros_like(weights, dtype=torch.bool)
            now[weights.topk(min(self.settings.top, len(weights))).indices] = True
            was = self.used.get(place)
            if was is not None:
                self._move(place, delta, now, was)
            self.used[place] = now if was is None else now | was
        self.before = {}

    @torch.no_grad()
    def _move(self, place: str, delta: Mixture, now: Tensor, was: Tensor) -> None:
        s = self.settings
        for number, expert in enumerate(delta.experts):
            assert isinstance(expert, LowRank)
            share = s.others if not now[number] else s.shared if was[number] else s.own
            for name, p in expert.named_parameters():
                p.lerp_(self.before[f"{place}/{number}.{name}"], share)

    @torch.no_grad()
    def weights(self, stage: Stage) -> dict[str, Tensor]:
        """Return for each place how much each expert counts (E,), the mean over all tokens of some samples."""
        total: dict[str, Tensor] = {}
        count: dict[str, int] = {}

        def told(place: str) -> Any:
            def add(delta: Mixture, given: tuple[Tensor, ...], found: Tensor) -> None:
                shares = delta.weights(given[0]).flatten(0, -2)
                total[place] = total.get(place, torch.zeros_like(shares[0])) + shares.sum(0)
                count[place] = count.get(place, 0) + len(shares)

            return add

        random = self.randomness.fresh("experts of a stage", stage.index)
        rows = torch.randperm(len(stage.train), generator=random)[: self.settings.samples]
        hooks = [delta.register_forward_hook(told(place)) for place, delta in self.places.items()]
        try:
            with self.model.evaluating():
                for batch in self.batches(stage.train.subset(rows), 1):
                    self.model.forward(batch)  # not model(batch): its hooks would share the rows over processes
        finally:
            for hook in hooks:
                hook.remove()
        return {place: total[place] / count[place] for place in total}
