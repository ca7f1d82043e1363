"""Fully sharded: each process holds its share of a frozen host's weights, and gathers a block when it is run.

What is learned stays whole in every process: methods look at weights and gradients one by one, and what is saved is
what one process would save. A host is what takes the memory; beside it, what is learned is small.

`Fabric`'s own strategy "fsdp" is not used: it refuses the CPU, and it cuts up what is learned too. What is called here
is `torch.distributed.fsdp.fully_shard`, which works over gloo on the CPU as over NCCL.
"""

from torch import nn

from polymnia.errors import SettingsError, StateError
from polymnia.hosts.causal import Causal
from polymnia.models.base import MODELS, Model

FSDP = "fsdp"


def refuse(model: Model, *, processes: int) -> None:
    """Say before training what cannot be sharded, and what would work.

    Raises
    ------
    SettingsError
        There is one process only, or the model has no host whose blocks every process runs alike.
    """
    if processes < 2:
        raise SettingsError(
            "trainer.strategy: 'fsdp' shares out a model among processes, and there is one. Give trainer.devices=2 or "
            "more (or start several with torchrun), or trainer.strategy=auto"
        )
    if not model.shards:
        able = ", ".join(name for name in MODELS if MODELS.get(name).shards)
        raise SettingsError(
            f"trainer.strategy: 'fsdp' shares out the frozen host of a model, and model {model.name!r} has none that "
            f"every process runs alike. Models that do: {able}. For {model.name!r}: trainer.strategy=ddp"
        )


def blocks(model: Model) -> list[nn.Module]:
    """Return the blocks of a model's hosts."""
    hosts = [module for module in model.modules() if isinstance(module, Causal)]
    stacks = [part for host in hosts for part in host.body.modules() if isinstance(part, nn.ModuleList)]
    return [block for stack in stacks for block in stack]


def shard(model: Model) -> tuple[int, int]:
    """Share out the blocks of a model's hosts that are whole yet; return what `held` does.

    Raises
    ------
    StateError
        A weight of a block is to be trained.
    """
    from torch.distributed.fsdp import FSDPModule, fully_shard

    for block in blocks(model):
        if isinstance(block, FSDPModule):
            continue
        if any(weight.requires_grad for weight in block.parameters()):
            raise StateError("trainer.strategy: 'fsdp' shares out frozen weights, and a host's block is to be trained")
        fully_shard(block)
    return held(model)


def held(model: Model) -> tuple[int, int]:
    """Return how many weights of its hosts' blocks this process holds, and how many there are."""
    from torch.distributed.tensor import DTensor

    weights = [weight for block in blocks(model) for weight in block.parameters()]
    mine = sum(w.to_local().numel() if isinstance(w, DTensor) else w.numel() for w in weights)
    return mine, sum(weight.numel() for weight in weights)
