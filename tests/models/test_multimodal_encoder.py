"""Blocks of frozen layers: which layer stands where, and that nothing changes before something is learned."""

import pytest
import torch

from polymnia.data.batch import Batch
from polymnia.data.stage import Outline
from polymnia.encoders.base import ENCODERS
from polymnia.models.multimodal_encoder import Layout, MultimodalEncoder, cuts

OUTLINE = Outline(index=0, name="first", modalities=("a", "b"), classes=(0, 1), widths={"a": 16, "b": 8})


def encoders(*, layers=(2, 3)):
    kind = ENCODERS.get("random-transformer")
    return {
        name: kind(kind.Settings(width=width, layers=depth, heads=2, seed=width))
        for name, width, depth in zip("ab", (16, 8), layers, strict=True)
    }


def built(adapter="bottleneck", *, layers=(2, 3), prompts=None):
    cut = {name: encoder.cut(0) for name, encoder in encoders(layers=layers).items()}
    trunks = {name: trunk for name, (_, trunk) in cut.items()}
    made = MultimodalEncoder(Layout({m: t.depth for m, t in trunks.items()}), trunks, adapter=adapter, prompts=prompts)
    torch.manual_seed(0)
    made.grow(OUTLINE)
    return made


def batch(rows=3, *, lengths=(4, 2)):
    generator = torch.Generator().manual_seed(1)
    values = {m: torch.randn(rows, t, w, generator=generator) for m, t, w in zip("ab", lengths, (16, 8), strict=True)}
    return Batch(values, torch.zeros(rows, dtype=torch.int64))


def test_every_layer_stands_in_one_block_in_order():
    layout = Layout({"a": 2, "b": 3, "c": 6})
    assert layout.blocks == 2
    for modality, sizes in {"a": (1, 1), "b": (1, 2), "c": (3, 3)}.items():
        blocks = [layout.layers(modality, block) for block in range(2)]
        assert [len(block) for block in blocks] == list(sizes)
        assert [layer for block in blocks for layer in block] == list(range(layout.depths[modality]))


def test_an_encoder_without_layers_stands_in_the_last_block():
    layout = Layout({"a": 3, "flat": 0})
    assert [layout.layers("flat", block) for block in range(3)] == [None, None, range(0)]
    assert Layout({"flat": 0}).blocks == 1


@pytest.mark.parametrize(("last", "cut"), [(None, (0, 0)), (1, (1, 1)), (2, (0, 0)), (9, (0, 0))])
def test_what_lies_below_the_first_adapter_is_cut_off(last, cut):
    assert tuple(cuts({"a": 2, "b": 3}, last).values()) == cut


def test_a_new_one_gives_what_the_encoders_give():
    parts, values = encoders(), {"a": torch.randn(5, 6), "b": torch.randn(3, 7)}
    lower = {m: parts[m].cut(0)[0].encode([v.numpy()])[0][None] for m, v in values.items()}
    encoded, blocks, losses = built("cross-experts")(Batch(lower, torch.zeros(1, dtype=torch.int64)))
    for m, value in values.items():
        torch.testing.assert_close(encoded.values[m][0], parts[m].encode([value.numpy()])[0], rtol=1e-5, atol=1e-6)
    assert len(blocks) == 2 and losses == {}


def test_frozen_layers_are_no_part_of_the_state_and_do_not_change():
    made = built()
    before = {m: t.frozen.network.layers[0].joint.weight.clone() for m, t in made.trunks.items()}
    assert all(".blocks" in f".{name}" for name in made.state_dict())
    optimiser = torch.optim.AdamW(made.parameters(), lr=0.1, weight_decay=0.5)
    encoded, _, _ = made(batch())
    sum(v.square().sum() for v in encoded.values.values()).backward()
    optimiser.step()
    for m, t in made.trunks.items():
        assert torch.equal(before[m], t.frozen.network.layers[0].joint.weight)


@pytest.mark.parametrize("adapter", ["bottleneck", "cross-experts"])
def test_padding_and_missing_modalities_change_nothing(adapter):
    made, given = built(adapter).eval(), batch()
    for p in made.parameters():
        torch.nn.init.normal_(p, std=0.3)  # away from zero, where an adapter could not show that it leaks
    alone, _, _ = made(given.take(slice(0, 1)).only(["a"]))
    padded = Batch(
        {"a": torch.cat([given.values["a"], torch.randn(3, 2, 16)], 1), "b": given.values["b"]},
        given.targets,
        {"a": torch.tensor([[True] * 4 + [False] * 2] * 3), "b": torch.tensor([[False] * 2, [True] * 2, [True] * 2])},
        {"a": None, "b": torch.tensor([False, True, True])},
    )
    among, _, _ = made(padded)
    torch.testing.assert_close(among.values["a"][0, :4], alone.values["a"][0], rtol=1e-4, atol=1e-5)
    whole, _, _ = made(given)
    torch.testing.assert_close(among.values["a"][1:, :4], whole.values["a"][1:], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(among.values["b"][1:], whole.values["b"][1:], rtol=1e-4, atol=1e-5)


def test_what_enters_a_block_is_what_its_adapter_reads():
    made, given = built("cross-experts"), batch()
    first, second = made.entering(given)
    assert torch.equal(first.values["a"], given.values["a"]) and second.modalities == ["a", "b"]
    assert not second.values["a"].requires_grad and not torch.equal(first.values["a"], second.values["a"])


def test_prompts_stand_before_the_layers_only():
    made, given = built(None, prompts="l2p"), batch()
    encoded, blocks, losses = made(given)
    assert encoded.values["a"].shape == given.values["a"].shape and losses
    plain, _, _ = built(None)(given)
    assert not torch.allclose(encoded.values["a"], plain.values["a"])
    assert [tokens["a"].shape for tokens in blocks] == [given.values["a"].shape] * 2
