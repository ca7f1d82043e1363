import pytest
import torch

from polymnia.training.optimisers import BareSGD, optimiser
from polymnia.training.settings import TrainerSettings


def test_sgd_is_torchs_own_bit_for_bit_and_skips_what_has_no_gradient():
    draw = torch.Generator().manual_seed(0)
    mine = {name: torch.nn.Parameter(torch.randn(7, 5, generator=draw)) for name in "abc"}
    theirs = [torch.nn.Parameter(p.detach().clone()) for p in mine.values()]
    ours, reference = optimiser(mine, TrainerSettings(optimiser="sgd", lr=0.05)), torch.optim.SGD(theirs, lr=0.05)
    assert isinstance(ours, BareSGD)
    for step in range(20):
        for number, (p, q) in enumerate(zip(mine.values(), theirs, strict=True)):
            p.grad = None if number == step % 3 else torch.randn(7, 5, generator=draw)
            q.grad = None if p.grad is None else p.grad.clone()
        for held in (ours, reference):
            held.param_groups[0]["lr"] = 0.05 / (step + 1)
            held.step()
    assert all(torch.equal(p, q) for p, q in zip(mine.values(), theirs, strict=True))


@pytest.mark.parametrize("given", [{"momentum": 0.9}, {"weight_decay": 0.1}])
def test_sgd_with_momentum_or_decay_is_torchs(given):
    held = optimiser({"a": torch.nn.Parameter(torch.ones(2))}, TrainerSettings(optimiser="sgd", **given))
    assert type(held) is torch.optim.SGD
