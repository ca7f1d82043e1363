import math

import pytest
import torch

from polymnia.errors import SettingsError, StateError
from polymnia.layers.objectives.cross_cpc import CrossCPC


def by_hand(made, one, a, b, ahead):
    """Return L^{a→b} of eq. 6, row by row and step by step."""
    context, lost = made.past[one](a)[0], []
    rows, steps = a.shape[:2]
    for k in range(1, ahead + 1):
        of_k = []
        for t in range(steps - k):
            for row in range(rows):
                predicted = made.next[one][k - 1](context[row, t])
                scores = torch.stack([predicted @ b[j, t + k] for j in range(rows)])
                of_k.append(-scores.log_softmax(0)[row])
        lost.append(torch.stack(of_k).mean())
    return torch.stack(lost).mean()


@pytest.mark.parametrize("ahead", [1, 2])
def test_by_hand(objective, pairs, ahead):
    sequences, made = pairs(4, 4), objective("cross-cpc", steps=4, ahead=ahead)
    a, b = sequences["audio"], sequences["text"]
    crossed = by_hand(made, "audio", a, b, ahead) + by_hand(made, "text", b, a, ahead)
    within = by_hand(made, "audio", a, a, ahead) + by_hand(made, "text", b, b, ahead)
    torch.testing.assert_close(made.between("audio", a, "text", b), crossed + 0.1 * within)


def test_without_the_terms_within_a_modality_only_the_crossed_ones_are_left(objective, pairs):
    sequences, made = pairs(4, 4), objective("cross-cpc", steps=4, own=0.0)
    a, b = sequences["audio"], sequences["text"]
    crossed = by_hand(made, "audio", a, b, 1) + by_hand(made, "text", b, a, 1)
    torch.testing.assert_close(made.between("audio", a, "text", b), crossed)


def test_where_nothing_can_be_told_apart_the_ways_add_up(objective):
    same = torch.ones(8, 6, 8)
    made = objective("cross-cpc")
    assert float(made.between("audio", same, "text", same).detach()) == pytest.approx(2.2 * math.log(8), rel=1e-5)


def test_the_past_predicts_and_the_future_does_not(objective, pairs):
    """A context sees no step that it has to predict, nor one after it."""
    sequences, made = pairs(4, 6), objective("cross-cpc")
    a, b = sequences["audio"].requires_grad_(), sequences["text"]
    scores = made.compared("audio", a, "text", b)[0]  # (N − 1, B, B): contexts of audio
    scores[2].sum().backward()
    assert a.grad[:, :3].any() and not a.grad[:, 3:].any()


def test_paired_rows_are_found_and_shuffled_ones_are_not(objective, pairs, train):
    """Both are trained: what is learned on shuffled pairs cannot hold on others (spec section 7)."""
    rows, two = 32, {"modalities": ("audio", "text")}
    found = {}
    for name, places in (("paired", 0), ("shuffled", 5)):
        batches = [pairs(rows, seed=seed, **two) for seed in range(1, 101)]
        batches = [{"audio": batch["audio"], "text": batch["text"].roll(places, 0)} for batch in batches]
        made = train(objective("cross-cpc", **two), batches)
        held_out = [pairs(rows, seed=seed, **two) for seed in range(1000, 1006)]
        every = [made.accuracy("audio", h["audio"], "text", h["text"].roll(places, 0)) for h in held_out]
        found[name] = float(torch.stack(every).mean())
    assert found["paired"] > 10 / rows
    assert found["shuffled"] < 2 / rows


def test_accuracy_is_of_the_crossed_terms_alone(objective, pairs):
    made, sequences = objective("cross-cpc", ahead=2), pairs()
    scores = made.compared("audio", sequences["audio"], "text", sequences["text"])
    assert [tuple(s.shape) for s in scores] == [(5, 24, 24), (4, 24, 24)] * 2


def test_weights_are_a_modalitys_own_and_do_not_depend_on_the_order_of_names(objective):
    one, other = objective("cross-cpc"), objective("cross-cpc", modalities=("text", "image", "audio"))
    assert one.state_dict().keys() == other.state_dict().keys()
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in one.state_dict().items())
    per_modality = 2 * 4 * 8 * 8 + 2 * 4 * 8 + 8 * 8  # two maps and two biases of an LSTM, one W
    assert sum(p.numel() for p in one.parameters()) == 3 * per_modality


def test_an_unknown_modality_and_wrong_settings_are_named(objective, pairs):
    made, sequences = objective("cross-cpc", modalities=("audio",)), pairs()
    with pytest.raises(StateError, match="no weights for 'text'; it has grown by: audio"):
        made.between("audio", sequences["audio"], "text", sequences["text"])
    for wrong in ({"ahead": 0}, {"own": -1.0}, {"layers": 0}):
        with pytest.raises(SettingsError, match=rf"objective\.{next(iter(wrong))}"):
            CrossCPC.Settings(**wrong)
    with pytest.raises(SettingsError, match=r"ahead: 3 is given, and sequences have 3 step"):
        objective("cross-cpc", steps=3, ahead=3)
