"""A quadratic pull towards anchors: what EWC, SI and their kin add to the loss."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class _Quadratic(torch.autograd.Function):
    """One node of the graph for all parameters, with its gradient in closed form: a step costs two passes."""

    @staticmethod
    def forward(ctx: Any, weights: list[Tensor], anchors: list[Tensor], *parameters: Tensor) -> Tensor:
        away = torch._foreach_sub(parameters, anchors)
        pull = torch._foreach_mul(away, weights)
        ctx.save_for_backward(*pull)
        parts = [torch.dot(a.flatten(), p.flatten()) for a, p in zip(away, pull, strict=True)]
        return torch.stack(parts).sum() / 2

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        return None, None, *torch._foreach_mul(ctx.saved_tensors, gradient)


def quadratic(parameters: list[Tensor], weights: list[Tensor], anchors: list[Tensor]) -> Tensor:
    """Return ½ Σ w · (θ − a)² over all entries of all tensors.

    Parameters
    ----------
    parameters : list of Tensor
        θ; the gradient goes here, and it is w · (θ − a).
    weights, anchors : list of Tensor
        w and a, each of the shape of its θ; no gradient.

    Returns
    -------
    Tensor
        A scalar; 0 for no tensors.

    Examples
    --------
    >>> θ = torch.tensor([1.0, 3.0], requires_grad=True)
    >>> value = quadratic([θ], [torch.tensor([2.0, 1.0])], [torch.tensor([0.0, 1.0])])
    >>> value.backward()
    >>> value.item(), θ.grad.tolist()
    (3.0, [2.0, 2.0])
    """
    if not parameters:
        return torch.zeros(())
    value: Tensor = _Quadratic.apply(weights, anchors, *parameters)
    return value
