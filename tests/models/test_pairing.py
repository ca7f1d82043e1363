"""Losses between paired modalities: each against the part it uses, by hand, and what a weight of 0 leaves out."""

from dataclasses import dataclass

import pytest
import torch
from torch.nn.functional import cross_entropy, mse_loss, normalize

from polymnia.layers.codebooks.multimodal_ema import MultimodalEMA
from polymnia.layers.objectives.info_nce import InfoNCE
from polymnia.losses.codes import matching
from polymnia.models.pairing import Pairing, groups, pairs, there
from polymnia.randomness import drawing_from

WIDTHS = {"a": 3, "b": 5}


@dataclass(frozen=True, kw_only=True)
class Weights:
    contrast: float = 0.0
    commit: float = 0.0
    cross_commit: bool = False
    match: float = 0.0
    reconstruct: float = 0.0
    information: float = 0.0


def codebook() -> MultimodalEMA:
    made = MultimodalEMA(4, MultimodalEMA.Settings(codes=6))
    made.begin(0)
    with drawing_from(1, "codes"):
        made.codes = torch.randn(6, 4)
    return made


def pairing(*, codes: bool = True, **weights) -> Pairing:
    """Return losses of a space of width 4 with two steps, between "a" and "b"."""
    held = Weights(**weights)
    with drawing_from(0):
        made = Pairing(4, objective=InfoNCE(4, 2) if held.contrast else None, codebook=codebook() if codes else None,
                       weights=held)  # fmt: skip
        made.grow(WIDTHS)
    return made


@pytest.fixture
def sequences():
    with drawing_from(2):
        return {m: torch.randn(5, 2, 4) for m in WIDTHS}


@pytest.fixture
def tokens():
    with drawing_from(3):
        return {m: torch.randn(5, 2, width) for m, width in WIDTHS.items()}


def nearest(vectors):
    codes = codebook().codes
    return codes[torch.cdist(vectors, codes).argmin(-1)]


# each loss ----------------------------------------------------------------------------------------------------


def test_contrast_is_the_objective_s(sequences, tokens):
    (name, found), *others = pairing(contrast=0.7)(sequences, tokens).items()
    assert name == "contrast" and not others
    lost = []
    for step in range(2):
        a, b = (normalize(sequences[m][:, step], dim=1) for m in WIDTHS)
        lost += [cross_entropy(s, torch.arange(5)) for s in (a @ b.T / 0.1, b @ a.T / 0.1)]
    torch.testing.assert_close(found, 0.7 * torch.stack(lost).mean())


@pytest.mark.parametrize("cross", [False, True])
def test_commitment_is_to_one_s_own_code_and_half_as_much_to_the_partner_s(sequences, tokens, cross):
    found = pairing(commit=0.25, cross_commit=cross)(sequences, tokens)
    a, b = sequences.values()
    own = mse_loss(a, nearest(a)) + mse_loss(b, nearest(b))
    partner = mse_loss(a, nearest(b)) + mse_loss(b, nearest(a))
    assert set(found) == {"commit"}
    torch.testing.assert_close(found["commit"], 0.25 * own + cross * 0.125 * partner)


def test_matching_is_code_matching(sequences, tokens):
    found = pairing(match=0.5)(sequences, tokens)
    assert set(found) == {"match"}
    torch.testing.assert_close(found["match"], 0.5 * matching(sequences["a"], sequences["b"], codebook().codes))


@pytest.mark.parametrize("codes", [True, False])
def test_reconstruction_decodes_codes_or_sequences_where_there_are_none(sequences, tokens, codes):
    held = pairing(codes=codes, reconstruct=2.0)
    found = held(sequences, tokens)
    assert set(found) == {"reconstruct"}
    lost = []
    for m, z in sequences.items():
        shared = nearest(z) if codes else z
        aside = held.disentangler.aside[m](tokens[m]).relu()
        decoded = held.disentangler.back[m](torch.cat([held.disentangler.code[m](shared), aside], -1))
        lost.append((decoded - tokens[m]).square().mean())
    torch.testing.assert_close(found["reconstruct"], 2.0 * torch.stack(lost).mean())


def test_reconstruction_reaches_the_sequences_through_their_codes(sequences, tokens):
    a = sequences["a"].requires_grad_()
    pairing(reconstruct=1.0)({"a": a, "b": sequences["b"]}, tokens)["reconstruct"].backward()
    assert bool(a.grad.any())


def test_information_is_the_bound_and_its_net_learns_by_the_likelihood_alone(sequences, tokens):
    held = pairing(reconstruct=1.0, information=0.1)
    found = held(sequences, tokens)
    assert set(found) == {"reconstruct", "information", "likelihood"}
    own = {m: held.disentangler.specific(m, tokens[m]) for m in WIDTHS}
    bounds = [held.clubs[m].bound(z, own[m], seed=9, exact=True) for m, z in sequences.items()]
    torch.testing.assert_close(found["information"], 0.1 * torch.stack(bounds).mean())
    likelihoods = [held.clubs[m].likelihood(z, own[m]) for m, z in sequences.items()]
    torch.testing.assert_close(found["likelihood"], torch.stack(likelihoods).mean())
    clubs, others = list(held.clubs.parameters()), list(held.disentangler.parameters())
    assert not any(torch.autograd.grad(found["information"], clubs, allow_unused=True, retain_graph=True))
    assert not any(torch.autograd.grad(found["likelihood"], others, allow_unused=True))


# weights of 0, missing rows, other helpers --------------------------------------------------------------------


def test_a_weight_of_0_leaves_out_the_loss_and_its_parts(sequences, tokens):
    bare = pairing()
    assert bare(sequences, tokens) == {} and not list(bare.parameters())
    assert bare.between("a", sequences["a"], "b", sequences["b"]) == []
    assert not pairing(reconstruct=1.0).clubs
    whole = {"contrast": 1.0, "commit": 1.0, "match": 1.0, "reconstruct": 1.0, "information": 1.0}
    assert set(pairing(**whole)(sequences, tokens)) == {*whole, "likelihood"}
    for name in ("contrast", "commit", "match", "information"):
        assert name not in pairing(**{**whole, name: 0.0})(sequences, tokens)
    assert set(pairing(codes=False, **whole)(sequences, tokens)) == {*whole, "likelihood"} - {"commit", "match"}


def test_rows_that_lack_a_modality_change_nothing(sequences, tokens):
    held = pairing(contrast=1.0, commit=1.0, match=1.0)
    has = torch.tensor([True, True, False, True, False])
    gaps = {"a": sequences["a"], "b": torch.where(has[:, None, None], sequences["b"], 0.0)}
    whole = held({m: z[has] for m, z in sequences.items()}, tokens)
    torch.testing.assert_close(held(gaps, tokens), whole)


def test_a_batch_without_any_pair_has_no_loss_of_pairs(sequences, tokens):
    held = pairing(contrast=1.0, commit=1.0, match=1.0, reconstruct=1.0, information=1.0)
    found = held({"a": sequences["a"]}, tokens)
    assert set(found) == {"contrast", "reconstruct", "information", "likelihood"} and float(found["contrast"]) == 0.0


def test_several_pairs_count_by_their_rows(sequences, tokens):
    """Three modalities: of five rows, five have "a" and "b", two of them "c"."""
    held = pairing(commit=1.0)
    c = torch.where((torch.arange(5) < 2)[:, None, None], sequences["a"].flip(0), 0.0)
    found = held({**sequences, "c": c}, tokens)["commit"]
    near = {m: (z - nearest(z)).square().mean((1, 2)) for m, z in {**sequences, "c": c}.items()}
    rows = torch.arange(5)
    wanted = [
        (near[x] + near[y])[rows < (2 if y == "c" else 5)].mean() for x, y in (("a", "b"), ("a", "c"), ("b", "c"))
    ]
    torch.testing.assert_close(found, (5 * wanted[0] + 2 * wanted[1] + 2 * wanted[2]) / 9)


def test_between_is_contrast_and_matching(sequences):
    held = pairing(contrast=0.5, match=2.0)
    a, b = sequences.values()
    contrast, match = held.between("a", a, "b", b)
    torch.testing.assert_close(contrast, 0.5 * InfoNCE(4, 2).between("a", a, "b", b))
    torch.testing.assert_close(match, 2.0 * matching(a, b, codebook().codes))


def test_growing_keeps_what_is_there():
    held = pairing(contrast=1.0, reconstruct=1.0, information=1.0)
    before = {name: p.clone() for name, p in held.named_parameters()}
    held.grow({"b": 5, "c": 2})
    after = dict(held.named_parameters())
    assert all(torch.equal(after[name], p) for name, p in before.items())
    assert set(held.clubs) == {"a", "b", "c"}


def test_pairs_and_rows():
    z = torch.tensor([[[0.0, 0.0]], [[0.0, 1.0]]])
    assert there(z).tolist() == [False, True]
    rows = {"c": torch.tensor([True, False]), "a": torch.tensor([True, True]), "b": torch.tensor([False, True])}
    assert [(a, b, both.tolist()) for a, b, both in pairs(rows)] == [
        ("a", "b", [False, True]),
        ("a", "c", [True, False]),
    ]


def test_groups_hold_all_pairs_and_what_stands_beside_them():
    a, b, c = (torch.full((3, 1, 1), value) for value in (1.0, 2.0, 3.0))
    c[0] = 0.0
    beside = torch.tensor([[[5.0]], [[6.0]], [[0.0]]])
    assert [g.flatten().tolist() for g in groups({"a": a, "b": b, "c": c})] == [
        [1, 1, 1, 1, 1, 2, 2], [2, 2, 2, 3, 3, 3, 3]
    ]  # fmt: skip
    assert [g.flatten().tolist() for g in groups({"a": a, "b": b, "c": c}, [beside])] == [
        [1, 1, 1, 2], [2, 2, 3, 3], [5, 6, 6, 6]
    ]  # fmt: skip
    assert groups({"a": a}) == []


def test_the_codebook_is_not_saved_twice():
    assert not pairing(commit=1.0).state_dict()
