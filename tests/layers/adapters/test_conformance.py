"""One suite over every adapter that is registered."""

import copy
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.func import functional_call, grad, vmap

from polymnia.data.batch import Batch
from polymnia.errors import SettingsError
from polymnia.layers.adapters.base import ADAPTERS

VARIANTS = [
    ("cross-experts", {"gate": "own", "freeze": 1, "experts": 3}),
    ("cross-experts", {"cross": "gate", "gate_rows": True, "freeze": 2, "experts": 4, "noise": True}),
    ("cross-experts", {"cross": "none", "gate": "own", "experts": 3, "active": 1}),
    ("cross-experts", {"experts": 2, "active": 2, "freeze": 1}),
    ("cross-bottleneck", {"cross": "gate"}),
    ("bottleneck", {"shared": True}),
    ("stage-experts", {"experts": 2, "added": 0, "bottleneck": 3, "noise": 0.5}),
    ("universal", {"layers": 2, "heads": 2, "hidden": 1}),
]
"""Settings that take other ways through the code; every adapter is also tested with its defaults."""
PARTS = [(name, {}) for name in ADAPTERS.names()] + VARIANTS
FIXED = {"universal"}
"""Adapters that train nothing in a stage without a new modality, as their source has it."""
ALIKE = 8
"""The width of all modalities, for adapters whose weights serve all of them."""
every_adapter = pytest.mark.parametrize("name", PARTS, ids=[" ".join(map(str, [n, *s.items()])) for n, s in PARTS])
close = {"rtol": 1e-4, "atol": 1e-5}


def equal(found, wanted):
    assert found.keys() == wanted.keys()
    return all(torch.equal(found[m], wanted[m]) for m in found)


def agree(found, wanted, rows=slice(None)):
    assert found.keys() == wanted.keys()
    for m in found:
        torch.testing.assert_close(found[m], wanted[m][rows], **close)


@every_adapter
def test_it_adds_zero_at_start_in_the_shape_of_its_input(adapter, batch, name):
    new, given_ = adapter(name, trained=False), batch()
    for mode in (new.train(), new.eval()):
        added = mode(given_)
        assert added.keys() == given_.values.keys()
        for m, tokens in added.items():
            assert tokens.shape == given_.values[m].shape
            assert not tokens.any()


@every_adapter
def test_a_gradient_reaches_every_kind_of_weight_once_it_is_trained(adapter, batch, name):
    trained, given_ = adapter(name), batch(rows=40)
    trained.train()
    sum(added.square().sum() for added in trained(given_).values()).backward()
    for found, p in trained.named_parameters():
        assert p.grad is not None and p.grad.isfinite().all(), found
    for m in given_.values:
        own = [p for found, p in trained.named_parameters() if m in found.split(".")]
        assert any(p.grad.any() for p in own or trained.parameters()), m
        assert own or trained.shared


@every_adapter
def test_at_start_a_gradient_reaches_what_makes_it_differ_from_zero(adapter, batch, name):
    new = adapter(name, trained=False)
    sum((added - 1).square().sum() for added in new(batch()).values()).backward()
    assert any(p.grad is not None and p.grad.any() for p in new.parameters())


@every_adapter
def test_the_order_of_samples_and_of_modalities_does_not_matter(adapter, batch, name):
    trained, given_ = adapter(name), batch()
    whole, order = trained(given_), torch.tensor([3, 0, 4, 1, 2])
    agree(trained(given_.take(order)), whole, order)
    turned = replace(given_, values=dict(reversed(given_.values.items())))
    assert equal(trained(turned), whole)


@every_adapter
def test_padding_does_not_matter_whatever_stands_there(adapter, batch, name):
    trained, given_ = adapter(name), batch()
    whole = trained(given_)
    padded = Batch(
        {m: torch.cat([v, torch.full((len(v), 2, v.shape[2]), float("nan"))], 1) for m, v in given_.values.items()},
        given_.targets,
        {m: torch.arange(v.shape[1] + 2).expand(len(v), -1) < v.shape[1] for m, v in given_.values.items()},
    )
    found = trained(padded)
    agree({m: v[:, :-2] for m, v in found.items()}, whole)
    assert not any(v[:, -2:].any() for v in found.values())


@every_adapter
@settings(max_examples=15)
@given(has=st.lists(st.tuples(*[st.booleans()] * 3).filter(any), min_size=1, max_size=5))
def test_a_sample_with_a_subset_is_that_sample_alone(name, has):
    trained = made(name)
    given_ = tokens(len(has), alike=trained.shared)
    present = {m: torch.tensor([row[i] for row in has]) for i, m in enumerate(given_.values)}
    junk = {m: torch.where(present[m][:, None, None], v, float("nan")) for m, v in given_.values.items()}
    found = trained(replace(given_, values=junk, present=present))
    for row in range(len(has)):
        kept = [m for m in present if present[m][row]]
        alone = trained(given_.take(slice(row, row + 1)).only(kept))
        agree({m: found[m][row : row + 1] for m in kept}, alone)
        assert not any(found[m][row].any() for m in present if m not in kept)


@every_adapter
def test_a_batch_without_any_known_modality_gets_nothing(adapter, batch, name):
    trained = adapter(name, modalities=("audio",))
    assert trained(batch(modalities=("text",))) == {}
    assert not trained.usage(batch(modalities=("text",))).any()


@every_adapter
def test_growth_by_a_modality_leaves_what_was_there(adapter, batch, stage, name):
    trained, given_ = adapter(name, modalities=("audio", "image")), batch(modalities=("audio", "image"))
    before = trained(given_)
    trained.grow(stage(1), ("image", "text"))
    assert equal(trained(given_), before)
    assert trained(batch()).keys() == {"audio", "image", "text"}
    assert trained.shared or not trained(batch())["text"].any()


@every_adapter
def test_what_serves_all_modalities_says_so_and_takes_one_width_only(stage, name):
    kind = ADAPTERS.get(name[0])
    new, widths = kind(kind.Settings(**name[1])), {"audio": ALIKE, "image": ALIKE // 2}
    outline = replace(stage(), widths=widths)
    if not new.shared:
        new.grow(outline, tuple(widths))
        return
    with pytest.raises(SettingsError, match="must have one width, and have: audio 8, image 4"):
        new.grow(outline, tuple(widths))
    new.grow(outline, ("audio",))
    with pytest.raises(SettingsError, match="have: image 4, earlier ones 8"):
        new.grow(outline, ("image",))


@every_adapter
def test_a_new_one_grown_alike_takes_its_state_and_what_may_be_trained(adapter, batch, stage, train, name):
    trained = adapter(name)
    for index in (1, 2):
        trained.freeze(trained.usage(batch(20)), 1)
        trained.grow(stage(index), tuple(batch().values))
        train(trained, batch())
    other = adapter(name, seed=7)
    for index in (1, 2):
        other.grow(stage(index), tuple(batch().values))
    other.load_state_dict(trained.state_dict())
    assert equal(other(batch(seed=3)), trained(batch(seed=3)))
    trainable = [{found for found, p in one.named_parameters() if p.requires_grad} for one in (trained, other)]
    assert trainable[0] == trainable[1]


@every_adapter
def test_a_copy_is_apart(adapter, batch, train, name):
    trained = adapter(name)
    twin, before = copy.deepcopy(trained), trained(batch())
    train(trained, batch())
    assert equal(twin(batch()), before)


@every_adapter
def test_frozen_weights_stay_bit_for_bit_and_something_is_always_left_to_train(adapter, batch, stage, train, name):
    trained = adapter(name)
    for index in range(1, 12):
        trained.freeze(trained.usage(batch(20, seed=index)), 2)
        frozen = {found: p.clone() for found, p in trained.named_parameters() if not p.requires_grad}
        assert any(p.requires_grad for p in trained.parameters()) or name[0] in FIXED
        trained.grow(stage(index), tuple(batch().values))
        train(trained, batch(seed=index), count=2)
        now = dict(trained.named_parameters())
        assert all(torch.equal(now[found], value) for found, value in frozen.items())


@every_adapter
def test_freezing_moves_parameters_from_trainable_to_frozen_and_makes_none(adapter, batch, name):
    trained = adapter(name)
    whole = sum(p.numel() for p in trained.parameters())
    trained.freeze(trained.usage(batch(20)), 1)
    left = sum(p.numel() for p in trained.parameters() if p.requires_grad)
    assert sum(p.numel() for p in trained.parameters()) == whole
    assert left < whole if len(trained.usage(batch())) > 1 else left == whole


@every_adapter
def test_usage_counts_samples_and_changes_nothing(adapter, batch, name):
    trained = adapter(name).train()
    state, random = copy.deepcopy(trained.state_dict()), torch.random.get_rng_state()
    usage = trained.usage(batch(20))
    assert torch.equal(random, torch.random.get_rng_state())
    assert all(torch.equal(value, trained.state_dict()[found]) for found, value in state.items())
    assert not usage.requires_grad
    if len(usage):
        total = float(usage.sum())
        assert total == pytest.approx(20) or total == pytest.approx(60)  # once a sample, or once a modality


@every_adapter
def test_gradients_for_each_sample_sum_to_the_batchs(adapter, batch, name):
    trained, given_ = adapter(name), batch(4)
    held = {found: p.detach() for found, p in trained.named_parameters()}

    def loss(held, values):
        alone = Batch({m: v[None] for m, v in values.items()}, torch.zeros(1, dtype=torch.long))
        return sum(added.square().sum() for added in functional_call(trained, held, (alone,)).values())

    each = vmap(grad(loss), in_dims=(None, 0))(held, dict(given_.values))
    sum(added.square().sum() for added in trained(given_).values()).backward()
    for found, p in trained.named_parameters():
        wanted = torch.zeros_like(p) if p.grad is None else p.grad
        torch.testing.assert_close(each[found].sum(0), wanted, rtol=1e-3, atol=1e-3, msg=found)


# hypothesis asks for functions instead of fixtures


def made(name):
    from polymnia.data.stage import Outline

    torch.manual_seed(0)
    kind = ADAPTERS.get(name[0])
    adapter = kind(kind.Settings(**name[1]))
    widths = {"audio": ALIKE, "image": ALIKE, "text": ALIKE} if adapter.shared else {"audio": 6, "image": 4, "text": 5}
    adapter.grow(Outline(index=0, name="0", modalities=tuple(widths), widths=widths), tuple(widths))
    with torch.no_grad():
        for p in adapter.parameters():
            p.add_(torch.randn_like(p))
    return adapter.eval()


def tokens(rows, *, alike=False):
    random = torch.Generator().manual_seed(rows)
    shapes = {"audio": (3, 6), "image": (2, 4), "text": (4, 5)}
    shapes = {m: (length, ALIKE if alike else width) for m, (length, width) in shapes.items()}
    return Batch({m: torch.randn(rows, *s, generator=random) for m, s in shapes.items()}, torch.arange(rows))
