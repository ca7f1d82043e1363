"""Several processes: the model's rows are spread, the method still sees the whole batch.

A method's loss may depend on all rows at once (contrastive terms, which classes a batch holds, what enters a
memory), so its batch is never cut. Each process pushes its share of the rows through the model, and the outputs are
gathered, with gradients. Every process then computes the same loss, and gradients are averaged once, after backward.
So several processes compute what one process computes, for every method, up to the order of sums.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from polymnia.data.batch import Batch
from polymnia.models.base import Model, Output


class _Gather(torch.autograd.Function):
    """Concatenate rows of all processes; backward hands each process the gradient of its rows.

    Gradients are averaged over processes later, and only one process holds each row: hence the factor.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, counts: list[int]) -> Tensor:
        ctx.counts = counts
        padded = rows.new_zeros((max(counts), *rows.shape[1:]))
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(parts, padded)
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        rank, counts = dist.get_rank(), ctx.counts
        start = sum(counts[:rank])
        return gradients[0][start : start + counts[rank]] * len(counts), None


def gather(rows: Tensor) -> Tensor:
    """Return the rows of all processes, in the order of their ranks, with gradients for one's own."""
    mine = torch.tensor([len(rows)], device=rows.device)
    every = [torch.zeros_like(mine) for _ in range(dist.get_world_size())]
    dist.all_gather(every, mine)
    gathered: Tensor = _Gather.apply(rows, [int(count) for count in every])  # type: ignore[no-untyped-call]
    return gathered


def spread(model: Model) -> list[Any]:
    """Let every forward of the model run on this process's share of the rows; return the hooks' handles."""
    size, rank = dist.get_world_size(), dist.get_rank()
    whole: list[Batch] = []

    def share(module: nn.Module, args: tuple[Batch]) -> tuple[Batch]:
        batch = args[0]
        whole.append(batch)
        if len(batch) < size:  # nothing to share: every process does the same rows
            return args
        return (batch.take(slice(rank * len(batch) // size, (rank + 1) * len(batch) // size)),)

    def collect(module: nn.Module, args: tuple[Batch], output: Output) -> Output:
        n = len(whole.pop())
        if n < size:
            return output
        share_of_all = len(args[0]) / n
        return Output(
            gather(output.logits),
            gather(output.targets),
            {m: gather(r) for m, r in output.representations.items()},
            {name: gather((share_of_all * loss).reshape(1)).sum() for name, loss in output.losses.items()},
            {m: (gather(own), gather(joint)) for m, (own, joint) in output.views.items()},
            [{m: gather(tokens) for m, tokens in block.items()} for block in output.blocks],
        )

    return [model.register_forward_pre_hook(share), model.register_forward_hook(collect)]


def average(tensors: Sequence[Tensor]) -> None:
    """Average tensors over all processes, in place and in one message."""
    if not tensors:
        return
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    parts = flat.split([tensor.numel() for tensor in tensors])
    for tensor, part in zip(tensors, parts, strict=True):
        tensor.copy_(part.view_as(tensor))
