"""Dispatch: rows go to the experts that were chosen for them, and each expert works on its rows in one piece."""

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear

FEW = 448
"""Vectors that experts would see although they were not chosen, up to which all experts at once are quicker than
sorting (`python -m benchmarks dispatch`)."""


class Routes:
    """Which expert works on which row; a row is a sample or a token.

    Each row has a place for each of its experts. Places are sorted by expert, so that an expert's rows are one
    block. Where that does not pay (few rows, or every expert chosen), and inside `torch.func` transforms, where no
    choice may depend on values, every row has a place for every expert, with weight 0 where it was not chosen: the
    same result and gradients.

    Parameters
    ----------
    chosen : Tensor
        (N, K) the experts of each row, all different.
    weights : Tensor
        (N, K) their weights.
    experts : int
        How many there are.
    length : int
        Vectors in a row: tokens of a sample.

    Attributes
    ----------
    weights : Tensor
        (P,) the weight of each place.

    Source: DESIGN §5.

    Examples
    --------
    Three experts that map a number to itself; row 0 goes to experts 1 and 0, row 1 to experts 1 and 2.

    >>> routes = Routes(torch.tensor([[1, 0], [1, 2]]), torch.tensor([[0.75, 0.25], [0.5, 0.5]]), 3)
    >>> inside = routes.enter(torch.tensor([[10.0], [20.0]]), [torch.eye(1)] * 3)
    >>> routes.leave(inside * routes.weights[:, None], [torch.eye(1)] * 3).flatten().tolist()
    [10.0, 20.0]
    """

    def __init__(self, chosen: Tensor, weights: Tensor, experts: int, *, length: int = 1) -> None:
        rows, choices = chosen.shape
        self.experts, self.rows = experts, rows
        few = rows * length * (experts - choices) <= FEW
        self.whole = few or _transformed(chosen) or _transformed(weights)
        self._chosen, self._given, self._table = chosen, weights, None
        if self.whole:
            self.weights = self.table.reshape(-1)
            return
        flat = chosen.reshape(-1)
        order = flat.argsort(stable=True)
        self.counts: list[int] = torch.bincount(flat, minlength=experts).tolist()
        self.origin = order // choices
        places = torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=order.device))
        self.places = places.view(rows, choices)
        self.weights = weights.reshape(-1)[order]

    @property
    def table(self) -> Tensor:
        """(N, E) the weight of each expert in each row, 0 where it was not chosen."""
        if self._table is None:
            self._table = self._given.new_zeros(self.rows, self.experts).scatter(1, self._chosen, self._given)
        return self._table

    def spread(self, values: Tensor) -> Tensor:
        """Return (P, …), each place's row of values (N, …)."""
        if not self.whole:
            return _Spread.apply(values, self.origin, self.places)
        return values[:, None].expand(-1, self.experts, *values.shape[1:]).flatten(0, 1)

    def enter(self, values: Tensor, weights: Sequence[Tensor]) -> Tensor:
        """Return (P, …, o): rows (N, …, d), each times its experts' weights (o, d)."""
        if not self.whole:
            return grouped_linear(self.spread(values), self.counts, weights)
        if self.experts == 1:
            return linear(values, weights[0])
        out = linear(values, torch.cat(list(weights)))
        if values.dim() == 2:
            return out.view(self.rows * self.experts, -1)
        return out.unflatten(-1, (self.experts, -1)).movedim(-2, 1).flatten(0, 1)

    def leave(self, values: Tensor, weights: Sequence[Tensor]) -> Tensor:
        """Return (N, …, o): places (P, …, d), each times its expert's weight (o, d), summed over a row's places."""
        if not self.whole:
            return _Gather.apply(grouped_linear(values, self.counts, weights), self.origin, self.places)
        if self.experts == 1:
            return linear(values, weights[0])
        joined = torch.cat(list(weights), 1)
        if values.dim() == 2:
            return linear(values.reshape(self.rows, -1), joined)
        return linear(values.unflatten(0, (self.rows, self.experts)).movedim(1, -2).flatten(-2), joined)

    def inside(self, values: Tensor, weights: Sequence[Tensor]) -> Tensor:
        """Return (P, …, o): places (P, …, d), each times its expert's weight (o, d)."""
        if not self.whole:
            return grouped_linear(values, self.counts, weights)
        parts = values.unflatten(0, (self.rows, self.experts)).unbind(1)
        return torch.stack([linear(part, w) for part, w in zip(parts, weights, strict=True)], 1).flatten(0, 1)

    def bias(self, vectors: Sequence[Tensor]) -> Tensor:
        """Return (N, d), for each row the weighted sum of its experts' vectors (d,)."""
        return self.table @ torch.stack(list(vectors))


def grouped_linear(values: Tensor, counts: Sequence[int], weights: Sequence[Tensor]) -> Tensor:
    """Return (R, …, o): consecutive groups of rows, each times its own expert's weight.

    Every weight that is trained gets a gradient, zero where its expert had no row, so that in several processes each
    has the same gradients to average; a frozen one costs no backward pass.

    Parameters
    ----------
    values : Tensor
        (R, …, d), sorted by expert.
    counts : sequence of int
        E, rows of each expert; their sum is R.
    weights : sequence of Tensor
        E of (o, d), a tensor each, so that an expert can be frozen by itself.
    """
    kind = values.device.type
    if torch.is_autocast_enabled(kind):
        dtype = torch.get_autocast_dtype(kind)
        values, weights = values.to(dtype), [weight.to(dtype) for weight in weights]
    inner = prod(values.shape[1:-1])
    flat, sizes = values.reshape(-1, values.shape[-1]), [count * inner for count in counts]
    out = _by_kernel(flat, sizes, weights) if _has_kernel(flat, weights[0]) else _Grouped.apply(flat, sizes, *weights)
    return out.view(*values.shape[:-1], out.shape[-1])


def _has_kernel(values: Tensor, weight: Tensor) -> bool:
    """Return whether torch has one kernel for all groups: bfloat16 on a GPU, rows of whole 16 bytes."""
    return (
        values.is_cuda
        and values.dtype == weight.dtype == torch.bfloat16
        and hasattr(torch.nn.functional, "grouped_mm")
        and torch.cuda.get_device_capability(values.device) >= (8, 0)
        and not any(size % 8 for size in weight.shape)
    )


def _by_kernel(values: Tensor, sizes: Sequence[int], weights: Sequence[Tensor]) -> Tensor:
    """Return (R, o) by torch's grouped multiplication of stacked weights."""
    ends = torch.tensor(sizes, device=values.device).cumsum(0).to(torch.int32)
    grouped_mm: Any = torch.nn.functional.grouped_mm
    return grouped_mm(values.contiguous(), torch.stack(list(weights)).transpose(1, 2), offs=ends)


class _Grouped(torch.autograd.Function):
    """Multiplications into slices of one result: no concatenation, one node in the graph for all experts."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, sizes: list[int], *weights: Tensor) -> Tensor:
        ctx.save_for_backward(values, *weights)
        ctx.sizes = sizes
        out = values.new_empty(len(values), len(weights[0]))
        for part, into, weight, size in zip(values.split(sizes), out.split(sizes), weights, sizes, strict=True):
            if size:
                torch.mm(part, weight.t(), out=into)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        values, *weights = ctx.saved_tensors
        sizes, needed = ctx.sizes, ctx.needs_input_grad
        gradients = gradient.split(sizes)
        at_values = None
        if needed[0]:
            at_values = torch.empty_like(values)
            for part, weight, into, size in zip(gradients, weights, at_values.split(sizes), sizes, strict=True):
                if size:
                    torch.mm(part, weight, out=into)
        at_weights = [
            None if not wanted else part.t().mm(rows) if len(rows) else torch.zeros_like(weight)
            for part, rows, weight, wanted in zip(gradients, values.split(sizes), weights, needed[2:], strict=True)
        ]
        return (at_values, None, *at_weights)


class _Spread(torch.autograd.Function):
    """Rows to places; backward is the sum over places, by reading instead of by adding where it falls."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, origin: Tensor, places: Tensor) -> Tensor:
        ctx.save_for_backward(origin, places)
        return values.index_select(0, origin)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return _Gather.apply(gradients[0], *ctx.saved_tensors), None, None


class _Gather(torch.autograd.Function):
    """The sum over each row's places; backward is rows to places."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, origin: Tensor, places: Tensor) -> Tensor:
        ctx.save_for_backward(origin, places)
        first, *others = places.unbind(1)
        total = values.index_select(0, first)
        for other in others:
            total += values.index_select(0, other)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return _Spread.apply(gradients[0], *ctx.saved_tensors), None, None


def _transformed(tensor: Tensor) -> bool:
    """Return whether `vmap` or `grad` of torch.func is looking at the tensor; torch has no public word for it."""
    return bool(torch._C._functorch.is_functorch_wrapped_tensor(tensor))
