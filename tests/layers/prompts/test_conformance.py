"""What any prompts must do: a new file in the package is tested here by being registered."""

import copy
import dataclasses
import inspect

import pytest
import torch

from polymnia.data.stage import Outline
from polymnia.layers.prompts.base import PROMPTS
from polymnia.randomness import drawing_from
from polymnia.state import join, split

WIDTHS = {"a": 6, "b": 4}
SMALL = {"l2p": {"pool": 4, "length": 2, "top": 2}, "dualprompt": {"general": 2, "expert": 3},
         "coda-prompt": {"components": 3, "length": 2}}  # fmt: skip
every = pytest.mark.parametrize("name", PROMPTS.names())
every_depth = pytest.mark.parametrize("blocks", [1, 2, 3, 7])


def outline(index, *modalities):
    return Outline(index=index, name=str(index), modalities=modalities, classes=(index,),
                   widths={m: WIDTHS[m] for m in modalities})  # fmt: skip


def made(name, *stages, blocks=3):
    kind = PROMPTS.get(name)
    prompts = kind(kind.Settings(**SMALL.get(name, {})))
    for index, modalities in enumerate(stages or ("ab",)):
        with drawing_from(0, index):
            prompts.grow(outline(index, *modalities), tuple(modalities), blocks=blocks)
    return prompts


def query(rows=5, seed=0, *names):
    with drawing_from(seed, "query"):
        return {m: torch.randn(rows, WIDTHS[m]) for m in names or WIDTHS}


def equal(one, other):
    assert [sorted(block) for block in one[0]] == [sorted(block) for block in other[0]]
    for block, same in zip(one[0], other[0], strict=True):
        for modality in block:
            torch.testing.assert_close(block[modality], same[modality])
    assert sorted(one[1]) == sorted(other[1])
    for term in one[1]:
        torch.testing.assert_close(one[1][term], other[1][term])


def trained(prompts, steps=3, seed=1):
    """Take steps as the trainer does: a new optimiser over what may change, with weight decay."""
    held = [p for p in prompts.parameters() if p.requires_grad]
    adam = torch.optim.AdamW(held, lr=0.05, weight_decay=0.1)
    prompts.train()
    for step in range(steps):
        placed, losses = prompts(query(5, seed + step))
        total = sum(losses.values()) + sum(p.square().sum() for block in placed for p in block.values())
        total.backward()
        adam.step()
        adam.zero_grad(set_to_none=True)
    return prompts


@every
def test_is_described_and_its_settings_are_a_frozen_dataclass(name):
    kind = PROMPTS.get(name)
    assert "Source:" in (inspect.getdoc(kind) or "")
    assert dataclasses.is_dataclass(kind.Settings)
    assert kind.Settings.__dataclass_params__.frozen
    assert kind.Settings(**dataclasses.asdict(kind.Settings())) == kind.Settings()


@every
@every_depth
@pytest.mark.parametrize("training", [True, False])
def test_shapes_are_those_of_the_contract(name, blocks, training):
    placed, losses = made(name, "ab", "ab", blocks=blocks).train(training)(query())
    assert len(placed) == blocks
    assert any(placed), "somewhere a prompt must stand"
    for block in placed:
        for modality, prompts in block.items():
            assert prompts.ndim == 3
            assert (len(prompts), prompts.shape[2]) == (5, WIDTHS[modality])
    assert losses
    assert all(loss.ndim == 0 and bool(loss.isfinite()) and loss >= 0 for loss in losses.values())


@every
@pytest.mark.parametrize("training", [True, False])
def test_a_sample_gets_its_prompts_whatever_else_is_there(name, training):
    prompts, whole = made(name, "ab", "ab").train(training), query()
    placed, _ = prompts(whole)
    turned, _ = prompts({m: whole[m].flip(0) for m in ("b", "a")})
    alone, _ = prompts({"a": whole["a"][2:3]})
    for block, back, one in zip(placed, turned, alone, strict=True):
        for modality in block:
            torch.testing.assert_close(back[modality].flip(0), block[modality])
        assert "b" not in one
        if "a" in block:
            torch.testing.assert_close(one["a"], block["a"][2:3])


@every
def test_missing_samples_add_nothing_to_losses_and_gradients(name):
    """A sample without the modality has a query of zeros: only the mean's denominator knows of it."""
    prompts = made(name).train()
    whole = query(6)
    there = {m: torch.cat([v[:3], torch.zeros_like(v[3:])]) for m, v in whole.items()}
    _, some = prompts(there)
    _, few = prompts({m: v[:3] for m, v in whole.items()})
    for term in some:
        ratio = 1.0 if term == "orthogonality" else 0.5
        torch.testing.assert_close(some[term], ratio * few[term])
    sum(some.values()).backward()
    assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in prompts.parameters())
    none, losses = prompts({m: torch.zeros_like(v) for m, v in whole.items()})
    assert all(bool(p.isfinite().all()) for block in none for p in block.values())
    assert all(bool(loss.isfinite()) for loss in losses.values())


@every
def test_what_it_does_not_know_gets_none(name):
    placed, losses = made(name, "a")({"b": torch.randn(2, 4)})
    assert placed == [{}, {}, {}]
    assert losses == {}


@every
def test_whatever_may_change_has_a_gradient(name):
    prompts = made(name, "ab", "ab").train()
    placed, losses = prompts(query(64))
    (sum(losses.values()) + sum(p.square().sum() for block in placed for p in block.values())).backward()
    for path, p in prompts.named_parameters():
        assert (p.grad is not None and bool(p.grad.abs().sum() > 0)) == p.requires_grad, path


@every
def test_growth_draws_nothing_but_new_parts_and_leaves_the_old_bit_for_bit(name):
    prompts = trained(made(name, "a"))
    before = {path: p.detach().clone() for path, p in prompts.named_parameters()}
    with drawing_from(0, 1):
        prompts.grow(outline(1, "a", "b"), ("a", "b"), blocks=3)
    after = dict(prompts.named_parameters())
    assert all(torch.equal(after[path], value) for path, value in before.items())
    assert any(".b." in path for path in after.keys() - before.keys())
    fresh = dict(made(name, "a", "ab").named_parameters())  # what is new depends on the outlines alone
    assert all(torch.equal(after[path], fresh[path]) for path in after.keys() - before.keys())
    assert {path: p.requires_grad for path, p in after.items()} == {path: p.requires_grad for path, p in fresh.items()}


@every
def test_what_is_frozen_does_not_move_under_weight_decay(name):
    prompts = trained(made(name, "ab", "ab"))
    for _ in range(2):
        prompts.grow(outline(2, "a"), ("a",), blocks=3)
        frozen = {path: p.detach().clone() for path, p in prompts.named_parameters() if not p.requires_grad}
        moving = {path: p.detach().clone() for path, p in prompts.named_parameters() if p.requires_grad}
        trained(prompts, steps=8)
        after = dict(prompts.named_parameters())
        assert moving
        assert all(torch.equal(after[path], value) for path, value in frozen.items())
        assert all(not torch.equal(after[path], value) for path, value in moving.items())
    if name != "l2p":
        assert frozen, "prompts of earlier stages are frozen, those of modalities that did not come back too"


@every
def test_goes_through_the_disk_format_and_copies(name):
    prompts = trained(made(name, "a", "ab", "b"))
    twin = made(name, "a", "ab", "b")
    twin.load_state_dict(join(*split(dict(prompts.state_dict()))))
    for training in (True, False):
        equal(twin.train(training)(query()), prompts.train(training)(query()))
        equal(copy.deepcopy(prompts)(query()), prompts(query()))


@every
@pytest.mark.parametrize("training", [True, False])
def test_losses_of_two_halves_average_to_that_of_the_whole(name, training):
    """What several processes rely on, which share the rows."""
    prompts, whole = made(name, "ab", "ab").train(training), query(6)
    whole["a"][0] = 0.0
    _, losses = prompts(whole)
    (_, one), (_, other) = (prompts({m: v[at : at + 3] for m, v in whole.items()}) for at in (0, 3))
    for term, loss in losses.items():
        torch.testing.assert_close((one[term] + other[term]) / 2, loss)
