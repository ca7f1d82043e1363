from dataclasses import replace

import pytest
import torch

from polymnia.data.batch import Batch
from polymnia.layers.gates import Gate

WIDTHS = {"image": 3, "text": 5}


@pytest.fixture
def batch():
    random = torch.Generator().manual_seed(0)
    values = {m: torch.randn(60, 4, width, generator=random) for m, width in WIDTHS.items()}
    return Batch(values, torch.zeros(60, dtype=torch.long))


@pytest.fixture
def gate():
    """Return a function that makes a gate of six experts, with weights drawn anew."""

    def make(active=2, experts=6, widths=WIDTHS, **given):
        torch.manual_seed(1)
        made = Gate(active, **given)
        made.grow(experts, widths)
        return made.eval()

    return make


def table(choice, experts=6):
    """Return (B, E), the weights of all experts."""
    return torch.zeros(len(choice.experts), experts).scatter(1, choice.experts, choice.weights)


def test_it_is_the_softmax_of_the_concatenated_means_renormalised_over_the_largest(gate, batch):
    made = gate(active=3)
    whole = torch.cat([made.weights[m] for m in WIDTHS], 1)  # (E, 8)
    h = torch.cat([batch.values[m].mean(1) for m in WIDTHS], 1)
    g = (h @ whole.T).softmax(1)
    kept = torch.where(g >= g.topk(3, 1).values[:, -1:], g, 0.0)
    torch.testing.assert_close(table(made(batch)["text"]), kept / kept.sum(1, keepdim=True))


@pytest.mark.parametrize("active", [1, 2, 6])
def test_weights_sum_to_one_and_exactly_k_are_not_zero(gate, batch, active):
    weights = table(gate(active=active)(batch)["image"])
    torch.testing.assert_close(weights.sum(1), torch.ones(60))
    assert (weights > 0).sum(1).tolist() == [active] * 60


def test_all_modalities_share_one_choice_or_have_their_own(gate, batch):
    shared = gate()(batch)
    assert shared["image"] is shared["text"]
    made = gate(own=True)
    other = replace(batch, values={**batch.values, "text": torch.randn(60, 4, 5)})
    before, after = made(batch), made(other)
    assert torch.equal(before["image"].weights, after["image"].weights)
    assert not torch.equal(before["text"].weights, after["text"].weights)


@pytest.mark.parametrize("own", [False, True])
def test_neither_the_order_of_tokens_nor_repeating_them_matters(gate, batch, own):
    made = gate(own=own)
    wanted = {m: table(choice) for m, choice in made(batch).items()}
    for change in (lambda v: v[:, [2, 0, 3, 1]], lambda v: v.repeat(1, 3, 1)):
        found = made(replace(batch, values={m: change(v) for m, v in batch.values.items()}))
        for m, choice in found.items():
            torch.testing.assert_close(table(choice), wanted[m])


def test_a_missing_modality_and_padding_contribute_nothing(gate, batch):
    made = gate()
    alone = made(batch.only(["image"]))["image"]
    gone = replace(batch, present={"text": torch.zeros(60, dtype=torch.bool)})
    torch.testing.assert_close(table(made(gone)["image"]), table(alone))
    valid = torch.arange(4).expand(60, 4) < 2
    cut = replace(batch, values={m: v[:, :2] for m, v in batch.values.items()})
    torch.testing.assert_close(
        table(made(replace(batch, valid=dict.fromkeys(WIDTHS, valid)))["image"]), table(made(cut)["image"])
    )


def test_a_later_modality_has_columns_of_zero_and_changes_no_choice(gate, batch):
    made = gate(widths={"image": 3})
    before = made(batch.only(["image"]))["image"]
    made.grow(6, WIDTHS)
    assert made.weights["text"].shape == (6, 5)
    after = made(batch)["text"]
    assert torch.equal(after.experts, before.experts) and torch.equal(after.weights, before.weights)


def test_a_later_modality_with_a_gate_of_its_own_chooses_from_the_start(gate, batch):
    made = gate(widths={"image": 3}, own=True)
    made.grow(6, WIDTHS)
    assert len(made(batch)["text"].experts.unique()) > 2


def test_a_new_expert_changes_nothing_where_k_logits_are_above_its_zero_and_takes_the_weakest_place_elsewhere(
    gate, batch
):
    made = gate()
    logits = sum(batch.values[m].mean(1) @ made.weights[m].T for m in WIDTHS)
    before = table(made(batch)["image"], 7)
    made.grow(7, WIDTHS)
    after = table(made(batch)["image"], 7)
    stays = (logits > 0).sum(1) >= 2
    assert 0 < stays.sum() < 60
    assert torch.equal(after[stays], before[stays])
    assert bool((after[~stays, 6] > 0).all())
    kept = (after[~stays] > 0) & (before[~stays] > 0)
    assert kept.sum(1).max() <= 1  # it displaces one


def test_an_expert_outside_the_largest_gets_no_gradient(gate, batch):
    made = gate(active=1, widths={"image": 3})
    one = batch.take(slice(0, 1)).only(["image"])
    made.grow(6, {"image": 3})
    made.active = 2
    choice = made(one)["image"]
    (choice.weights[0, 0] * 3).backward()
    moved = made.weights["image"].grad.abs().sum(1) > 0
    assert sorted(moved.nonzero().flatten().tolist()) == sorted(choice.experts[0].tolist())


def test_noise_is_for_training_only_and_can_be_learned(gate, batch):
    made = gate(noise=True)
    calm = made(batch)["image"]
    assert torch.equal(calm.weights, made(batch)["image"].weights)
    noisy = made(batch, noisy=True)["image"]
    assert not torch.equal(noisy.experts, calm.experts)
    torch.testing.assert_close(noisy.weights.sum(1), torch.ones(60))
    noisy.weights[:, 0].sum().backward()
    assert made.widths["text"].grad.abs().sum() > 0


@pytest.mark.parametrize("keep", [False, True])
def test_kept_rows_do_not_move_under_adamw(gate, batch, keep):
    made = gate(keep_rows=keep)
    made.keep([0, 2])
    before = {m: made.rows(m).detach().clone() for m in WIDTHS}
    optimiser = torch.optim.AdamW(made.parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(3):
        optimiser.zero_grad()
        made(batch)["image"].weights[:, 0].sum().backward()
        optimiser.step()
    for m, rows in before.items():
        now = made.rows(m)
        assert torch.equal(now[[0, 2]], rows[[0, 2]]) is keep
        assert not torch.equal(now[[1, 3, 4, 5]], rows[[1, 3, 4, 5]])


def test_kept_rows_survive_growth_and_saving(gate, batch):
    made = gate(keep_rows=True)
    made.keep([1])
    with torch.no_grad():
        made.weights["text"].add_(1.0)
    made.grow(8, WIDTHS)
    other = gate(keep_rows=True, experts=8)
    other.load_state_dict(made.state_dict())
    assert torch.equal(other.rows("text"), made.rows("text"))
    torch.testing.assert_close(made.rows("text")[1], made.weights["text"][1] - 1.0)
