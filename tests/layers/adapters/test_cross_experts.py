import math
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import gelu

from polymnia.data.batch import Batch
from polymnia.data.stage import Outline
from polymnia.errors import SettingsError
from polymnia.layers.adapters.cross import Inside, attention_map, by_attention, by_gate
from polymnia.layers.adapters.cross_experts import CrossExperts

PAIR = ("audio", "image")


def change(values, modality, tokens):
    return replace(values, values={**values.values, modality: tokens})


# the equation -------------------------------------------------------------------------------------------------


def test_an_experts_equation_by_hand():
    """One token and one dimension each but for `b`, which has two tokens: every number can be followed."""
    adapter = CrossExperts(CrossExperts.Settings(experts=1, active=1, bottleneck=1))
    adapter.grow(Outline(index=0, name="0", modalities=("a", "b"), widths={"a": 1, "b": 1}), ("a", "b"))
    (expert,) = adapter.experts
    with torch.no_grad():
        for m, down, up, bias in (("a", 2.0, 3.0, 0.5), ("b", 1.0, -1.0, 0.25)):
            expert.down[m].fill_(down), expert.up[m].fill_(up), expert.bias[m].fill_(bias)
    added = adapter(Batch({"a": torch.tensor([[[0.5]]]), "b": torch.tensor([[[0.0], [1.0]]])}, torch.zeros(1)))
    # Z_a = 1, Z_b = (0, 1); A_{a<-b} = softmax(1 * (0, 1)); A_{b<-a} = (1), (1)
    share = math.e / (1 + math.e)
    phi = lambda u: u * 0.5 * (1 + math.erf(u / math.sqrt(2)))  # noqa: E731
    assert added["a"].flatten().tolist() == pytest.approx([3 * phi(1 + share) + 0.5], rel=1e-5)
    assert added["b"].flatten().tolist() == pytest.approx([-phi(0 + 1) + 0.25, -phi(1 + 1) + 0.25], rel=1e-5)


@pytest.mark.parametrize("gate", ["shared", "own"])
@pytest.mark.parametrize("cross", ["attention", "gate", "none"])
def test_the_mixture_written_out_sample_by_sample(adapter, batch, cross, gate):
    made, whole = adapter("cross-experts", experts=5, bottleneck=3, cross=cross, gate=gate), batch(30)
    choices, added = made.gate(whole), made(whole)
    for row in range(0, 30, 7):
        x = {m: v[row] for m, v in whole.values.items()}
        for m in x:
            total = torch.zeros_like(x[m])
            for e, w in zip(choices[m].experts[row].tolist(), choices[m].weights[row], strict=True):
                expert = made.experts[e]
                z = {n: x[n] @ expert.down[n].T for n in x}
                others = [n for n in x if n != m]
                u = z[m]
                if cross == "attention":
                    u = u + sum((z[m] @ z[n].T / 3**0.5).softmax(1) @ z[n] for n in others) / 2
                if cross == "gate":
                    u = u * (expert.across[m] @ (sum(z[n].mean(0) for n in others) / 2)).sigmoid()
                total = total + w * (gelu(u) @ expert.up[m].T + expert.bias[m])
            torch.testing.assert_close(added[m][row], total, rtol=1e-4, atol=1e-4)


# attention and presence ---------------------------------------------------------------------------------------


def test_rows_of_an_attention_map_sum_to_one_over_valid_keys():
    queries, keys = torch.randn(2, 3, 4), torch.randn(2, 5, 4)
    valid = torch.tensor([[True] * 5, [True, True, False, False, True]])
    found = attention_map(queries, keys, valid)
    assert found.shape == (2, 3, 5)
    torch.testing.assert_close(found.sum(-1), torch.ones(2, 3))
    assert not found[1, :, 2:4].any()
    torch.testing.assert_close(found[1][:, [0, 1, 4]], attention_map(queries[1:], keys[1:, [0, 1, 4]])[0])


@pytest.mark.parametrize("cross", ["attention", "gate"])
def test_the_other_modality_matters_and_its_absence_takes_only_the_cross_term(adapter, batch, cross):
    made = adapter("cross-experts", experts=1, active=1, cross=cross, modalities=PAIR)
    whole = batch(modalities=PAIR)
    shuffled = change(whole, "audio", whole.values["audio"].roll(1, 0))
    assert not torch.allclose(made(shuffled)["image"], made(whole)["image"])
    expert, z = made.experts[0], whole.values["image"] @ made.experts[0].down["image"].T
    alone = gelu(z) @ expert.up["image"].T + expert.bias["image"]
    without = replace(whole, present={"audio": torch.zeros(5, dtype=torch.bool)})
    torch.testing.assert_close(made(without)["image"], alone)
    if cross == "attention":  # keys and values of zero: an even map of nothing
        zeroed = change(whole, "audio", torch.zeros_like(whole.values["audio"]))
        torch.testing.assert_close(made(zeroed)["image"], alone)


def test_the_cross_term_is_the_mean_over_the_others_that_a_sample_has():
    random = torch.Generator().manual_seed(0)
    a, b, c = (torch.randn(2, t, 4, generator=random) for t in (2, 3, 5))
    has = torch.tensor([True, False])
    found = by_attention("a", {"a": Inside(a), "b": Inside(b, None, has), "c": Inside(c)}, lambda means: means)
    terms = {n: attention_map(a, z) @ z for n, z in (("b", b), ("c", c))}
    torch.testing.assert_close(found[0], a[0] + (terms["b"][0] + terms["c"][0]) / 2)
    torch.testing.assert_close(found[1], a[1] + terms["c"][1])


def test_a_gate_stays_open_where_there_is_no_other():
    a, b = torch.randn(2, 3, 4), torch.randn(2, 5, 4)
    found = by_gate("a", {"a": Inside(a), "b": Inside(b, None, torch.tensor([True, False]))}, lambda means: means)
    torch.testing.assert_close(found[0], a[0] * b[0].mean(0).sigmoid())
    assert torch.equal(found[1], a[1])


def test_without_crossing_only_a_shared_gate_tells_of_the_other(adapter, batch):
    whole = batch(30, PAIR)
    shuffled = change(whole, "audio", whole.values["audio"].roll(1, 0))
    for gate, same in (("shared", False), ("own", True)):
        made = adapter("cross-experts", cross="none", gate=gate, modalities=PAIR)
        assert torch.allclose(made(shuffled)["image"], made(whole)["image"]) is same


# freezing and growth ------------------------------------------------------------------------------------------


def test_the_most_used_free_experts_are_frozen_but_no_unused_one_and_never_the_last(adapter):
    made = adapter("cross-experts", experts=4)
    made.freeze(torch.tensor([1.0, 5.0, 0.0, 3.0]), 1)
    assert made.frozen.tolist() == [False, True, False, False]
    made.freeze(torch.tensor([1.0, 5.0, 0.0, 3.0]), 3)
    assert made.frozen.tolist() == [True, True, False, True]
    made.freeze(torch.tensor([1.0, 1.0, 9.0, 1.0]), 1)
    assert made.frozen.tolist() == [True, True, False, True]
    assert [any(p.requires_grad for p in e.parameters()) for e in made.experts] == [False, False, True, False]


def test_frozen_experts_stay_and_others_move_under_adamw_with_decay(adapter, batch, train):
    made, whole = adapter("cross-experts", experts=4), batch(40)
    train(made, whole)
    made.freeze(made.usage(whole), 2)
    before = [{name: p.clone() for name, p in e.named_parameters()} for e in made.experts]
    train(made, whole)
    for expert, kept, frozen in zip(made.experts, before, made.frozen.tolist(), strict=True):
        stayed = [torch.equal(p, kept[name]) for name, p in expert.named_parameters()]
        assert all(stayed) if frozen else not any(stayed)


def test_usage_is_the_sum_of_weights_over_the_samples_that_have_something(adapter, batch):
    whole = replace(batch(4, PAIR), present={m: torch.tensor([True, True, m == "image", False]) for m in PAIR})
    made = adapter("cross-experts", modalities=PAIR)
    choice = made.gate(whole)["image"]
    wanted = torch.zeros(4, 8).scatter(1, choice.experts, choice.weights)[:3].sum(0)
    torch.testing.assert_close(made.usage(whole), wanted.detach())
    own = adapter("cross-experts", gate="own", modalities=PAIR)
    assert float(own.usage(whole).sum()) == pytest.approx(2 + 3)  # audio has two samples, image three


def test_when_experts_run_out_there_are_new_ones_by_settings_and_stages_alone(adapter, batch, stage):
    made = adapter("cross-experts", experts=3, freeze=1)
    for index in range(1, 7):
        made.freeze(made.usage(batch(40, seed=index)), 1)
        made.grow(stage(index), tuple(batch().values))
        assert len(made.experts) == max(3, index + 1)
        assert not made.frozen.all()
    assert int(made.frozen.sum()) >= 4


@pytest.mark.parametrize(("experts", "displaced"), [(4, 0.415), (8, 0.015)])
def test_a_new_expert_moves_old_outputs_only_where_it_takes_a_place(adapter, batch, stage, experts, displaced):
    """The drift, measured: which share of samples has another choice after growth, with gates of random weights."""
    made, whole = adapter("cross-experts", experts=experts, active=2, freeze=experts), batch(200)
    before, chosen = made(whole), made.gate(whole)["image"]
    made.grow(stage(1), tuple(whole.values))
    after, now = made(whole), made.gate(whole)["image"]
    new = (now.experts == experts).any(1)
    assert float(new.float().mean()) == pytest.approx(displaced, abs=0.02)
    for m in whole.values:
        torch.testing.assert_close(after[m][~new], before[m][~new], rtol=1e-4, atol=1e-4)
    first = chosen.experts[new, 0]  # the strongest keeps its place unless its logit is below 0 too
    kept = (now.experts[new] == first[:, None]).any(1)
    assert bool(kept.all())


def test_a_frozen_expert_adds_nothing_for_a_later_modality_and_is_not_trained_for_it(adapter, batch, stage, train):
    made = adapter("cross-experts", experts=2, active=2, modalities=PAIR)
    made.freeze(torch.tensor([1.0, 0.0]), 1)
    made.grow(stage(1), tuple(batch().values))
    train(made, batch())
    assert not made.experts[0].up["text"].any() and not made.experts[0].up["text"].requires_grad
    assert made.experts[1].up["text"].any()


def test_loading_changes_what_may_be_trained_only_where_freezing_differs(adapter):
    made, saved = adapter("cross-experts", experts=3), adapter("cross-experts", experts=3)
    saved.freeze(torch.tensor([0.0, 1.0, 0.0]), 1)
    for p in made.parameters():  # as a method does that trains no adapter
        p.requires_grad_(False)
    made.load_state_dict(adapter("cross-experts", experts=3).state_dict())
    assert not any(p.requires_grad for p in made.parameters())
    other = adapter("cross-experts", experts=3)
    other.load_state_dict(saved.state_dict())
    assert [p.requires_grad for p in other.experts[1].parameters()] == [False] * 9
    other.load_state_dict(adapter("cross-experts", experts=3).state_dict())
    assert all(p.requires_grad for p in other.parameters())


# settings -----------------------------------------------------------------------------------------------------


def test_one_expert_has_no_gate(adapter, batch):
    made = adapter("cross-experts", experts=1, active=1)
    assert made.gate is None
    assert made.usage(batch(7)).tolist() == [7.0]


@pytest.mark.parametrize("given", [{"experts": 0}, {"active": 0}, {"experts": 2, "active": 3}, {"freeze": -1}])
def test_settings_that_cannot_be_say_what_can(given):
    with pytest.raises(SettingsError, match=r"adapter\.\w+: -?\d is given"):
        CrossExperts.Settings(**given)


def test_parts_of_one_size_have_as_many_parameters(adapter):
    def count(*name, **settings):
        return sum(p.numel() for p in adapter(*name, **settings).parameters())

    wide, many = count("bottleneck", bottleneck=32), count("cross-experts", experts=4, active=2, bottleneck=8)
    biases, rows = 3 * (6 + 4 + 5), 4 * (6 + 4 + 5)
    assert many == wide + biases + rows
