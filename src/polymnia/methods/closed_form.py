"""Squares of per-sample gradients in closed form, for the layers that have one."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import layer_norm, linear
from torch.overrides import TorchFunctionMode


@dataclass
class Call:
    """One call of a layer with known weights, and what its per-sample gradients are made of."""

    weight: Tensor | None
    bias: Tensor | None
    out: Tensor
    version: int
    square: Callable[[Tensor], Tensor]
    """δ² (B, O) → Σ over samples of the squared gradient of the weight."""


class Calls(TorchFunctionMode):
    """Notes every call of `linear` and `layer_norm` on one vector a row."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        note = _NOTES.get(func)
        if note is not None and out.dim() == 2 and out.requires_grad:
            self.calls.append(note(out, *args, **(kwargs or {})))
        return out


def _note_linear(out: Tensor, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Call:
    x = input.detach()
    return Call(weight, bias, out, out._version, lambda squared: squared.T @ x.square())


def _note_layer_norm(
    out: Tensor,
    input: Tensor,
    normalized_shape: list[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Call:
    x = input.detach()
    normal = layer_norm(x, normalized_shape, eps=eps)
    return Call(weight, bias, out, out._version, lambda squared: (squared * normal.square()).sum(0))


_NOTES: dict[Any, Callable[..., Call]] = {linear: _note_linear, layer_norm: _note_layer_norm}


def squares(calls: list[Call], value: Tensor, used: Counter[int], rows: int) -> dict[int, Tensor]:
    """Return id of parameter → sum of squared gradients, for those whose only use is one noted call."""
    calls = [c for c in calls if c.out._version == c.version and len(c.out) == rows]  # not written over since
    noted = Counter(id(p) for c in calls for p in (c.weight, c.bias) if p is not None)
    if not calls or not value.requires_grad:
        return {}
    sums: dict[int, Tensor] = {}
    deltas = torch.autograd.grad(value, [c.out for c in calls], allow_unused=True)
    for call, delta in zip(calls, deltas, strict=True):
        for p, square in ((call.weight, call.square), (call.bias, lambda squared: squared.sum(0))):
            if delta is not None and p is not None and noted[id(p)] == used[id(p)] == 1:
                sums[id(p)] = square(delta.square())
    return sums


def uses(value: Tensor) -> Counter[int]:
    """Return how often each leaf is used in the graph of a value, by id: whatever used it, and however."""
    used: Counter[int] = Counter()
    seen, ahead = set(), [value.grad_fn]
    while ahead:
        node = ahead.pop()
        for following, _ in node.next_functions if node is not None else ():
            if following is None:
                continue
            if hasattr(following, "variable"):
                used[id(following.variable)] += 1
            elif following not in seen:
                seen.add(following)
                ahead.append(following)
    return used
