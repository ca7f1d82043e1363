"""Probes of shared spaces over a space that is easy to see through: linear maps and codes that stand still."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch

from polymnia.errors import DataError, StateError
from polymnia.evaluation.evaluator import EvaluationSettings, Evaluator
from polymnia.evaluation.probes.base import PROBES
from polymnia.evaluation.probes.codes import shared
from polymnia.evaluation.retrieval import retrieved
from polymnia.evaluation.space import Space
from polymnia.methods.finetune import Finetune
from polymnia.models.classifier import Classifier
from polymnia.training.checkpoint import load_state, save_state

NAMES = ("transfer", "fixed", "pairs", "codes", "gap", "certificates")
CODES = tuple(tuple(float(v) for v in row) for row in torch.randn(24, 16, generator=torch.Generator().manual_seed(3)))


def weight(method, modality):
    """Return the matrix (16, d) of a modality's linear map."""
    return method.model.projectors[modality].map[-1].weight


def measured(name, method, stream, place=-1):
    return PROBES.get(name)().measure(method, stream, stream[place])


@pytest.mark.parametrize("name", NAMES)
def test_a_model_without_a_space_has_nothing_to_measure(name, digits):
    method = Finetune(Classifier())
    method.model.grow(digits[0])
    assert measured(name, method, digits, 0) == {}


@pytest.mark.parametrize("name", NAMES)
def test_nothing_of_later_stages_is_looked_at(name, linear, pairs_of_digits):
    method = linear(pairs_of_digits.stages[:1], codes=CODES)
    short = replace(pairs_of_digits, stages=pairs_of_digits.stages[:1])
    assert measured(name, method, pairs_of_digits, 0) == measured(name, method, short, 0)


# transfer -----------------------------------------------------------------------------------------------------


def test_transfer_keeps_pairs_that_met_apart_from_those_that_never_did(linear, pairs_of_digits):
    found = measured("transfer", linear(pairs_of_digits), pairs_of_digits)
    assert found["modalities"] == ["pixels", "projections", "spectrum"]
    m = found["matrix"]
    assert found["seen"] == pytest.approx((m[0][1] + m[1][0] + m[0][2] + m[2][0]) / 4)
    assert found["unseen"] == pytest.approx((m[1][2] + m[2][1]) / 2)
    assert found["within"] == pytest.approx((m[0][0] + m[1][1] + m[2][2]) / 3)
    assert found["within"] > 0.9  # of two digits


def test_transfer_is_as_good_as_within_where_modalities_are_one(linear, digits):
    """Two names for one sensor: what is learned of one holds for the other."""
    samples = {side: getattr(digits[0], side) for side in ("train", "valid", "test")}
    twice = {
        side: replace(s, values={"a": s.values["pixels"], "b": s.values["pixels"]},
                      present={"a": s.present["pixels"], "b": s.present["pixels"]}) for side, s in samples.items()
    }  # fmt: skip
    stage = replace(digits[0], task="pairing", modalities=("a", "b"), widths={"a": 64, "b": 64}, **twice)
    stream = replace(digits, stages=(stage,))
    method = linear([stage], mediator="a")
    method.model.projectors["b"] = method.model.projectors["a"]
    found = measured("transfer", method, stream)
    assert found["seen"] == found["within"] > 0.8 and "unseen" not in found
    method.model.projectors["b"] = deepcopy(method.model.projectors["a"])
    with torch.no_grad():
        weight(method, "b").neg_()
    assert measured("transfer", method, stream)["seen"] < 0.5


def test_a_probe_is_never_tested_on_what_it_was_fitted_on(linear, pairs_of_digits):
    stages = pairs_of_digits.stages
    leaking = replace(stages[1], test=stages[0].train.only(("pixels",)))
    stream = replace(pairs_of_digits, stages=(stages[0], leaking, stages[2]))
    with pytest.raises(DataError, match=r"\d+ are in both, such as '"):
        measured("transfer", linear(stages), stream, 1)


# fixed --------------------------------------------------------------------------------------------------------


def test_the_fixed_probe_is_constant_where_nothing_moves_and_falls_where_it_does(linear, pairs_of_digits):
    method, probe = linear(pairs_of_digits, codes=CODES), PROBES.get("fixed")()
    first, second = (probe.measure(method, pairs_of_digits, stage) for stage in pairs_of_digits.stages[:2])
    assert first == second and set(first) == {"fixed", "fixed mediator"} and probe.modality == "projections"
    with torch.no_grad():
        weight(method, "projections").neg_()
    third = probe.measure(method, pairs_of_digits, pairs_of_digits[2])
    assert third["fixed"] < first["fixed"] and third["fixed mediator"] == first["fixed mediator"]


def test_the_fixed_probe_refuses_to_be_fitted_late(linear, pairs_of_digits):
    with pytest.raises(StateError, match="02-spectrum"):
        measured("fixed", linear(pairs_of_digits), pairs_of_digits, 1)


# pairs and gap ------------------------------------------------------------------------------------------------


def test_pairs_that_never_met_are_retrieved_over_the_samples_that_two_stages_share(linear, pairs_of_digits):
    method = linear(pairs_of_digits)
    found = measured("pairs", method, pairs_of_digits)
    assert {(row["from"], row["to"]) for row in found["table"]} == {
        (a, b) for a in ("pixels", "projections", "spectrum") for b in ("pixels", "projections", "spectrum") if a != b
    }
    rows = {(row["from"], row["to"]): row for row in found["table"]}
    never = rows["projections", "spectrum"]
    assert not never["seen"] and never["samples"] == len(pairs_of_digits[1].test)
    one, other = Space(method, pairs_of_digits, pairs_of_digits[2]).both("projections", "spectrum")
    there, back = retrieved(one.vectors, other.vectors)
    assert never["R@10"] == there.recall[10] and never["median rank"] == there.median_rank
    assert found["unseen R@10"] == pytest.approx((there.recall[10] + back.recall[10]) / 2)
    targets = one.targets.numpy()
    unit = [torch.nn.functional.normalize(side.vectors.double(), dim=1) for side in (one, other)]
    nearest = (unit[0] @ unit[1].T).argmax(1).numpy()
    assert never["class R@1"] == pytest.approx((targets[nearest] == targets).mean())
    seen = [row["R@1"] for row in found["table"] if row["seen"]]
    assert len(seen) == 4 and found["seen R@1"] == pytest.approx(sum(seen) / 4)


def test_the_gap_is_that_of_centroids_and_of_samples(linear, digits):
    method = linear([digits[0]])
    found = measured("gap", method, digits, 0)
    assert 0 < found["distance"] <= 2 and -1 <= found["cosine"] <= 1
    assert found["seen distance"] == found["distance"] and "unseen cosine" not in found
    twice = {m: digits[0].test.values["pixels"] for m in digits[0].test.modalities}
    stage = replace(digits[0], test=replace(digits[0].test, values=twice))
    with torch.no_grad():
        for m in ("projections", "spectrum"):
            method.model.projectors[m] = deepcopy(method.model.projectors["pixels"])
            weight(method, m).mul_(-2.0 if m == "spectrum" else 3.0)
    found = measured("gap", method, replace(digits, stages=(stage,)))
    assert found["cosine"] == pytest.approx((1 - 1 - 1) / 3)  # one of three pairs is the same, two are opposite
    space = Space(method, replace(digits, stages=(stage,)), stage)
    centre = torch.nn.functional.normalize(space.all("test", "pixels").vectors.double(), dim=1).mean(0)
    assert found["distance"] == pytest.approx(2 * 2 * float(centre.norm()) / 3)


# codes --------------------------------------------------------------------------------------------------------


def test_codes_are_counted_by_hand(linear, pairs_of_digits):
    method = linear(pairs_of_digits, codes=CODES)
    found = measured("codes", method, pairs_of_digits, 0)
    space = Space(method, pairs_of_digits, pairs_of_digits[0])
    hits = [torch.bincount(space.all("test", m).codes.flatten(), minlength=24) for m in ("pixels", "projections")]
    mixed = sum(h.double() / h.sum() for h in hits) / 2
    entropy = -sum(float(p) * float(p.log()) for p in mixed if p > 0)
    assert found["perplexity"] == pytest.approx(torch.tensor(entropy).exp().item())
    assert found["used"] == float(((hits[0] + hits[1]) > 0).double().mean())
    assert (found["shared"], found["single"]) == shared(*(h.double() / h.sum() for h in hits))


def test_sharing_is_by_the_rule_of_a_fifth():
    a, b = torch.tensor([0.25, 0.5, 0.25, 0.0]), torch.tensor([0.05, 0.5, 0.25, 0.2])
    assert shared(a, b) == (0.5, 0.5)
    assert shared(a, a) == (1.0, 0.0)


def test_without_a_codebook_there_are_no_codes(linear, pairs_of_digits):
    assert measured("codes", linear(pairs_of_digits), pairs_of_digits) == {}


# certificates -------------------------------------------------------------------------------------------------


def test_certificates_hold_to_the_last_bit_and_name_what_moved(linear, pairs_of_digits):
    method, probe = linear(pairs_of_digits, codes=CODES), PROBES.get("certificates")()
    assert probe.measure(method, pairs_of_digits, pairs_of_digits[0]) == {"checks": []}
    same = probe.measure(method, pairs_of_digits, pairs_of_digits[1])
    assert same["identical"] == same["codes identical"] == same["identical pixels"] == 1.0 and same["change"] == 0.0
    with torch.no_grad():
        pixels = weight(method, "pixels")
        pixels[0, 20] = torch.nextafter(pixels[0, 20], torch.tensor(9.0))  # the smallest change there is
        weight(method, "spectrum").mul_(2.0)
    moved = probe.measure(method, pairs_of_digits, pairs_of_digits[2])
    assert (moved["identical pixels"], moved["identical projections"], moved["identical spectrum"]) == (0.0, 1.0, 0.0)
    assert 0 < moved["change pixels"] < 1e-5 < moved["change spectrum"] == moved["change"]
    assert moved["identical"] == 0.0  # spectrum; what the mediator does is told apart
    stages = [(row["stage"], row["modality"]) for row in moved["checks"]]
    assert stages == [("01-projections", "pixels"), ("01-projections", "projections"), ("02-spectrum", "pixels"),
                      ("02-spectrum", "spectrum")]  # fmt: skip


def test_a_certificate_keeps_few_samples_and_hashes_them(linear, pairs_of_digits):
    probe = PROBES.get("certificates")()
    probe.measure(linear(pairs_of_digits), pairs_of_digits, pairs_of_digits[0])
    assert {len(kept["vectors"]) for kept in probe.kept} == {min(64, len(pairs_of_digits[0].test))}
    record = probe.record()
    assert [len(kept["vectors sha256"]) for kept in record["kept"]] == [64, 64] and record["checks"] == []


# all of them --------------------------------------------------------------------------------------------------


def test_a_resumed_run_measures_the_same(linear, pairs_of_digits, tmp_path):
    method, wanted = linear(pairs_of_digits, codes=CODES), EvaluationSettings(probes=NAMES)
    whole = Evaluator(method, pairs_of_digits, wanted)
    for stage in pairs_of_digits:
        if stage.index == 2:
            save_state(tmp_path / "state", whole.state_dict())
        whole.after(stage)
    again = Evaluator(method, pairs_of_digits, wanted)
    again.load_state_dict(load_state(tmp_path / "state"))
    again.after(pairs_of_digits[2])
    assert again.figures() == whole.figures()
    probes = whole.figures()["probes"]
    assert set(probes) == set(NAMES)
    assert probes["fixed"]["fixed by stage"] == [probes["fixed"]["fixed"]] * 3
    assert probes["certificates"]["identical by stage"] == [None, 1.0, 1.0]
    assert probes["transfer"]["unseen by stage"][0] is None
