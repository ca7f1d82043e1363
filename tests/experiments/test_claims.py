import math

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from polymnia.experiments.claims import CONTRARY, FAILS, HOLDS, UNDECIDED, UNTESTED, decide, figure, judge
from polymnia.experiments.settings import Claim

bounds = st.floats(-1, 1, allow_subnormal=False)
margins = st.floats(0, 0.5, allow_subnormal=False)
MIRRORED = {"greater": "less", "less": "greater", "at least": "at most", "at most": "at least", "within": "within"}


def claim(**changes) -> Claim:
    plain = {"id": "c", "says": "So.", "source": "ours", "metric": "forgetting", "left": "a", "relation": "greater",
             "right": "b"}  # fmt: skip
    return Claim(**{**plain, **changes})


def decided(one: Claim, records, *, streams=("digits",), seeds=(0, 1, 2), missing=None):
    return decide(one, records, streams=streams, seeds=seeds, missing=missing or {})


@pytest.fixture
def records(record):
    a, b = [0.5, 0.6, 0.7], [0.3, 0.5, 0.4]  # differences 0.2, 0.1, 0.3
    return {("digits", m, s): record(forgetting=v) for m, vs in (("a", a), ("b", b)) for s, v in enumerate(vs)}


@drawn(bounds, bounds, st.sampled_from(sorted(MIRRORED)), margins)
def test_swapping_sides_mirrors_the_relation(one, other, relation, margin):
    low, high = sorted((one, other))
    assert judge(low, high, relation, margin) == judge(-high, -low, MIRRORED[relation], margin)


@drawn(bounds, bounds, margins)
def test_a_relation_and_its_negation_never_both_hold(one, other, margin):
    low, high = sorted((one, other))
    greater = judge(low, high, "greater", margin)
    assert not (greater[0] == HOLDS and judge(low, high, "less", margin)[0] == HOLDS)
    if greater[0] == HOLDS:
        assert judge(low, high, "at least", margin)[0] == HOLDS
    if judge(low, high, "within", margin)[0] == HOLDS:
        assert judge(low, high, "at least", margin)[0] == judge(low, high, "at most", margin)[0] == HOLDS


@drawn(bounds, bounds, st.sampled_from(sorted(MIRRORED)), margins)
def test_a_reason_stands_just_where_a_claim_does_not_hold(one, other, relation, margin):
    low, high = sorted((one, other))
    verdict, why = judge(low, high, relation, margin)
    assert (verdict, why) in {(HOLDS, ""), (FAILS, CONTRARY), (FAILS, UNDECIDED)}
    if low == high:
        assert why != UNDECIDED, "a point lies on one side"


def test_the_figures_that_decide(records):
    found = decided(claim(), records)
    one = found["comparisons"][0]
    half = 4.302652729749464 * 0.1 / math.sqrt(3)  # Student's t, 2 degrees of freedom, 97.5 %
    assert one["difference"] == pytest.approx(0.2)
    assert one["half_width"] == pytest.approx(half)
    assert (one["left_mean"], one["right_mean"], one["n"]) == (pytest.approx(0.6), pytest.approx(0.4), 3)
    assert (found["verdict"], found["why"]) == (FAILS, UNDECIDED), "0.2 ± 0.248 reaches below 0"


@pytest.mark.parametrize(
    ("changes", "verdict", "why"),
    [
        ({"relation": "at least", "margin": 0.05}, HOLDS, ""),
        ({"relation": "at least", "margin": 0.04}, FAILS, UNDECIDED),
        ({"relation": "less"}, FAILS, UNDECIDED),
        ({"left": "b", "right": "a", "relation": "less"}, FAILS, UNDECIDED),
        ({"relation": "within", "margin": 0.45}, HOLDS, ""),
        ({"right": 0.3}, HOLDS, ""),
        ({"right": 0.9}, FAILS, CONTRARY),
        ({"right": "a"}, FAILS, CONTRARY),
        ({"metric": "per_subset.text+image", "right": 0.7}, HOLDS, ""),
        ({"metric": "per_subset.audio", "right": 0.7}, UNTESTED, "digits/a: no per_subset.audio was measured"),
        ({"metric": "steps"}, UNTESTED, "digits/a: no steps was measured"),
        ({"right": "c"}, UNTESTED, "digits/c: 0 of 3 seeds have run"),
    ],
)
def test_verdicts(records, changes, verdict, why):
    found = decided(claim(**changes), records)
    assert (found["verdict"], found["why"]) == (verdict, why)


def test_sides_that_do_not_differ_are_marked(records):
    """A penalty too weak to change a score passes any margin; the verdict alone would not tell."""
    records.update({("digits", "idle", s): records["digits", "a", s] for s in range(3)})
    idle = decided(claim(left="idle", right="a", relation="at most", margin=0.05), records)
    assert (idle["verdict"], idle["comparisons"][0]["same"]) == (HOLDS, True)
    assert not decided(claim(), records)["comparisons"][0]["same"]


def test_nothing_is_decided_before_every_seed_has_run(records):
    del records["digits", "b", 1]
    assert decided(claim(right=0.1), records)["verdict"] == HOLDS
    assert decided(claim(), records)["why"] == "digits/b: 2 of 3 seeds have run"


def test_one_seed_decides_nothing(records):
    assert decided(claim(), records, seeds=(0,))["why"] == "one seed has no interval"


def test_every_comparison_must_hold(records):
    some = decided(claim(right=(0.3, 0.9), relation="greater"), records)
    assert (some["verdict"], some["holding"], len(some["comparisons"])) == (FAILS, 1, 2)
    unknown = decided(claim(right=(0.3, "c")), records)
    assert unknown["verdict"] == UNTESTED, "what is left may still refute it"
    assert decided(claim(right=(0.9, "c")), records)["verdict"] == FAILS, "one failure refutes it already"


def test_a_stream_that_is_missing_leaves_a_claim_untested(records):
    both = decided(claim(right=0.3), records, streams=("digits", "stamps"), missing={"stamps": "fetch it"})
    assert (both["verdict"], both["why"]) == (UNTESTED, "stamps: fetch it")
    only = decided(
        claim(right=0.3, streams=("digits",)), records, streams=("digits", "stamps"), missing={"stamps": "x"}
    )
    assert only["verdict"] == HOLDS


def test_figures_are_found_by_name(record):
    run = record(forgetting=0.25)
    assert figure(run, "forgetting") == 0.25
    assert figure(run, "per_subset.text+image") == figure(run, "per_subset.image+text") == 0.75
    assert figure(run, "steps") is None
