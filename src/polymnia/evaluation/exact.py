"""A model in double precision for a while, its host included, whatever the host's own code says of precision."""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from polymnia.encoders.trunk import Frozen


@contextmanager
def in_double(model: nn.Module) -> Generator[None, None, None]:
    """Compute in float64 inside the block; after it every weight is what it was, bit for bit.

    Networks of transformers ask for float32 in their normalisations and for angles of positions; inside the block they
    are given float64 instead. What is frozen beside the model is part of it.
    """
    held = [(tensor, tensor.data) for tensor in _tensors(model) if tensor.is_floating_point()]
    try:
        for tensor, data in held:
            tensor.data = data.double()
        with _NoSingles():
            yield
    finally:
        for tensor, data in held:
            tensor.data = data


def _tensors(model: nn.Module) -> Iterator[Tensor]:
    """Yield the parameters and buffers of a model, and of what is frozen in it."""
    yield from model.parameters()
    yield from model.buffers()
    for module in model.modules():
        if isinstance(module, Frozen):
            yield from _tensors(module.network)


class _NoSingles(TorchFunctionMode):
    """Read every wish for float32 as one for float64."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is torch.Tensor.float:
            func = torch.Tensor.double
        given = {name: _wider(value) for name, value in (kwargs or {}).items()}
        return func(*map(_wider, args), **given)


def _wider(value: Any) -> Any:
    return torch.float64 if value is torch.float32 else value
