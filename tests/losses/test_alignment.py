import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy, normalize

from polymnia.losses.alignment import ALIGNMENTS, aligned, contrast, pairs, shared

EYE = torch.eye(4)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def two_modalities(rows: int = 6, seed: int = 0) -> dict:
    parts = random(4, rows, 5, seed=seed)
    return {"audio": (parts[0], parts[1]), "video": (parts[2], parts[3])}


@pytest.mark.parametrize("temperature", [0.1, 0.5, 1.0])
def test_a_perfect_match_with_orthogonal_others_has_the_value_in_closed_form(temperature):
    """Each row: e^(1/T) over e^(1/T) + 3 e^0."""
    wanted = math.log(1 + 3 * math.exp(-1 / temperature))
    views, targets = {"a": (EYE, EYE), "b": (EYE, EYE)}, torch.arange(4)
    for form in ALIGNMENTS.values():
        assert form(views, EYE, targets, temperature=temperature).item() == pytest.approx(wanted, rel=1e-5, abs=1e-6)


def test_by_hand():
    p, q = torch.tensor([[2.0, 0.0], [0.0, 3.0]]), torch.tensor([[1.0, 0.0], [3.0, 4.0]])
    # cosines: p0 to q0 1, to q1 0.6; p1 to q0 0, to q1 0.8; T = 0.5 doubles them
    first = -math.log(math.exp(2.0) / (math.exp(2.0) + math.exp(1.2)))
    second = -math.log(math.exp(1.6) / (math.exp(1.6) + math.exp(0.0)))
    value = aligned({"a": (p, q)}, q, torch.tensor([0, 1]), temperature=0.5)
    assert value.item() == pytest.approx((first + second) / 2, rel=1e-5)


def test_samples_of_the_same_class_are_no_negatives():
    p, q = random(3, 5, seed=1), random(3, 5, seed=2)
    similar = normalize(p, dim=1) @ normalize(q, dim=1).T / 0.1
    lost = [
        similar[0, [0, 2]].logsumexp(0) - similar[0, 0],  # sample 1 is of its class
        similar[1, [1, 2]].logsumexp(0) - similar[1, 1],
        similar[2].logsumexp(0) - similar[2, 2],
    ]
    torch.testing.assert_close(aligned({"a": (p, q)}, q, torch.tensor([7, 7, 3])), torch.stack(lost).mean())


@pytest.mark.parametrize("form", [aligned, shared])
def test_identical_labels_give_zero_and_a_gradient_of_zero(form):
    views, joint = two_modalities(), random(6, 5, seed=9)
    p = views["audio"][0].requires_grad_()
    value = form(views, joint, torch.full((6,), 3))
    assert value.item() == 0.0
    value.backward()
    assert not p.grad.any()


def test_shared_takes_the_joint_vector_for_every_view():
    views, joint, targets = two_modalities(), random(6, 5, seed=9), torch.arange(6) % 3
    own = {m: (p, joint) for m, (p, _) in views.items()}
    torch.testing.assert_close(shared(views, joint, targets), aligned(own, joint, targets))


def test_pairs_is_infonce_both_ways_whatever_the_classes():
    views, targets = two_modalities(), torch.zeros(6, dtype=torch.int64)
    a, b = (normalize(views[m][0], dim=1) for m in ("audio", "video"))
    wanted = [cross_entropy(one @ other.T / 0.2, torch.arange(6)) for one, other in ((a, b), (b, a))]
    torch.testing.assert_close(pairs(views, a, targets, temperature=0.2), torch.stack(wanted).mean())


@pytest.mark.parametrize("name", ALIGNMENTS)
def test_a_sample_without_a_modality_does_not_count_for_it(name):
    views, joint, targets = two_modalities(), random(6, 5, seed=9), torch.arange(6)
    has = torch.tensor([True, True, False, True, False, True])
    there = {"audio": torch.ones(6).bool(), "video": has}
    value = ALIGNMENTS[name](views, joint, targets, present=there)
    changed = {"audio": views["audio"], "video": tuple(torch.where(has[:, None], v, 1e3) for v in views["video"])}
    if name != "shared":  # there the other side is the joint vector, which is the caller's
        torch.testing.assert_close(ALIGNMENTS[name](changed, joint, targets, present=there), value)
    kept = {m: (p[has], q[has]) for m, (p, q) in views.items()}
    alone = ALIGNMENTS[name](kept, joint[has], targets[has])
    if name == "pairs":
        torch.testing.assert_close(value, alone)
    else:
        whole = ALIGNMENTS[name]({"audio": views["audio"]}, joint, targets)
        part = ALIGNMENTS[name]({"video": kept["video"]}, joint[has], targets[has])
        torch.testing.assert_close(value, (whole + part) / 2)


@pytest.mark.parametrize("name", ALIGNMENTS)
def test_a_modality_that_no_sample_has_leaves_the_mean_to_the_others(name):
    views, joint, targets = two_modalities(), random(6, 5, seed=9), torch.arange(6)
    nowhere = {"video": torch.zeros(6).bool()}
    value = ALIGNMENTS[name](views, joint, targets, present=nowhere)
    torch.testing.assert_close(value, ALIGNMENTS[name]({"audio": views["audio"]}, joint, targets))
    assert ALIGNMENTS[name]({}, joint, targets).item() == 0.0


def test_a_sample_without_a_target_is_nobodys_negative():
    views, joint = two_modalities(3), random(3, 5, seed=9)
    known = {m: (p[:2], q[:2]) for m, (p, q) in views.items()}
    value = aligned(views, joint, torch.tensor([0, 1, -1]))
    torch.testing.assert_close(value * 3, aligned(known, joint[:2], torch.tensor([0, 1])) * 2)


@given(st.integers(1, 6), st.integers(0, 50))
def test_never_below_zero_and_always_a_number(rows, seed):
    views, joint = two_modalities(rows, seed), random(rows, 5, seed=seed + 1)
    for form in ALIGNMENTS.values():
        value = form(views, joint, torch.arange(rows) % 2)
        assert value.isfinite()
        assert value.item() > -1e-5


def test_contrast_of_nothing_is_zero():
    none = torch.zeros(4).bool()
    assert contrast(EYE, EYE, negatives=torch.ones(4, 4).bool(), counts=none, temperature=0.1).item() == 0.0
