import pytest
import torch

from polymnia.training.optimisers import load_optimiser_state, optimiser, optimiser_state
from polymnia.training.settings import TrainerSettings


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_a_step_is_torchs_own(name, decay):
    draw = torch.Generator().manual_seed(0)
    mine = {n: torch.nn.Parameter(torch.randn(7, 5, generator=draw)) for n in "abc"}
    theirs = [torch.nn.Parameter(p.detach().clone()) for p in mine.values()]
    kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name]
    ours = optimiser(mine, TrainerSettings(optimiser=name, lr=0.05, weight_decay=decay))
    reference = kind(theirs, lr=0.05, weight_decay=decay)
    for step in range(10):
        for number, (p, q) in enumerate(zip(mine.values(), theirs, strict=True)):
            p.grad = None if number == step % 3 else torch.randn(7, 5, generator=draw)
            q.grad = None if p.grad is None else p.grad.clone()
        ours.step()
        reference.step()
    for p, q in zip(mine.values(), theirs, strict=True):
        if name == "sgd":
            assert torch.equal(p, q)
        torch.testing.assert_close(p, q, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("given", [{"optimiser": "sgd", "momentum": 0.9}, {"optimiser": "adamw"}])
def test_state_goes_by_name_and_goes_on_bit_for_bit(given):
    settings = TrainerSettings(lr=0.1, **given)

    def steps(held, parameters, number, draw):
        for _ in range(number):
            for p in parameters.values():
                p.grad = torch.randn(3, generator=draw)
            held.step()

    first = {n: torch.nn.Parameter(torch.ones(3)) for n in "ab"}
    held = optimiser(first, settings)
    draw = torch.Generator().manual_seed(1)
    steps(held, first, 3, draw)
    second = {n: torch.nn.Parameter(first[n].detach().clone()) for n in "ba"}  # another order
    other = optimiser(second, settings)
    load_optimiser_state(other, second, {n: {k: v.clone() for k, v in e.items()} for n, e in
                                         optimiser_state(held, first).items()})  # fmt: skip
    for p, gradient in (("a", 0.5), ("b", -0.2)):
        first[p].grad, second[p].grad = torch.full((3,), gradient), torch.full((3,), gradient)
    held.step()
    other.step()
    assert all(torch.equal(first[n], second[n]) for n in "ab")
