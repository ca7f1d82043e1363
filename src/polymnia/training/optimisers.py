"""Optimisers and schedules by name, and their state by parameter name."""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from polymnia.state import Tree
from polymnia.training.settings import TrainerSettings


def optimiser(parameters: Mapping[str, nn.Parameter], settings: TrainerSettings) -> Optimizer:
    """Return the optimiser of one stage."""
    held = list(parameters.values()) or [nn.Parameter(torch.zeros(0))]  # a stage may leave nothing to train
    if settings.optimiser == "sgd":
        if not settings.momentum and not settings.weight_decay:
            return BareSGD(held, lr=settings.lr)
        return SGD(held, lr=settings.lr, momentum=settings.momentum, weight_decay=settings.weight_decay)
    kind = Adam if settings.optimiser == "adam" else AdamW
    on_cpu = all(p.device.type == "cpu" for p in held)  # torch's own choice there is a Python loop, half as fast
    return kind(held, lr=settings.lr, weight_decay=settings.weight_decay, fused=on_cpu or None)


class BareSGD(SGD):
    """SGD without momentum or decay: bit for bit torch's own, without its bookkeeping, which outweighs a small step."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # ty: ignore[incompatible-method-override]
        """Take one step; a closure is not asked."""
        for group in self.param_groups:
            held = [p for p in group["params"] if p.grad is not None]
            if held:
                torch._foreach_add_(held, [p.grad for p in held], alpha=-group["lr"])
        return None

    step.hooked = True  # ty: ignore[missing-attribute] # without this mark torch wraps every step in its profiler


def rate(step: int, total: int, settings: TrainerSettings) -> float:
    """Return the learning rate of a step of a stage; it depends on nothing else, so there is no state to save.

    Examples
    --------
    >>> s = TrainerSettings(lr=1.0, schedule="linear", warmup=2)
    >>> [round(rate(step, 6, s), 2) for step in range(6)]
    [0.5, 1.0, 1.0, 0.75, 0.5, 0.25]
    """
    if step < settings.warmup:
        return settings.lr * (step + 1) / settings.warmup
    done = (step - settings.warmup) / max(total - settings.warmup, 1)
    falling = {"constant": 1.0, "linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2}
    return settings.lr * falling[settings.schedule]


def optimiser_state(held: Optimizer, parameters: Mapping[str, nn.Parameter]) -> dict[str, Tree]:
    """Return the optimiser's state by parameter name."""
    return {name: dict(held.state[p]) for name, p in parameters.items() if p in held.state}


def load_optimiser_state(held: Optimizer, parameters: Mapping[str, nn.Parameter], state: Mapping[str, Tree]) -> None:
    """Put back what `optimiser_state` returned."""
    for name, entries in state.items():
        p = parameters[name]
        held.state[p] = {key: _near(value, key, p.device) for key, value in entries.items()}


def _near(value: Tree, key: str, device: torch.device) -> Tree:
    """Move moments to the parameter's device; step counters stay on the CPU, where torch keeps them."""
    return value.to(device) if isinstance(value, Tensor) and key != "step" else value
