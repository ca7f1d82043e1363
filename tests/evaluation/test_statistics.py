import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from polymnia.evaluation.statistics import holm, mean_interval, paired

stats = pytest.importorskip("scipy.stats", reason="scipy is not installed: pip install 'polymnia[report]'")
shares = st.floats(0, 1, allow_nan=False)
some = st.lists(shares, min_size=2, max_size=12)


def test_the_interval_of_a_worked_example():
    # 4.303 is the 97.5 % quantile of t with 2 degrees of freedom in every printed table; s / √3 = 0.02 / √3
    mean, half = mean_interval([0.70, 0.72, 0.74])
    assert mean == pytest.approx(0.72)
    assert half == pytest.approx(4.303 * 0.02 / math.sqrt(3), rel=1e-4)


@given(some, st.floats(0.5, 0.999))
def test_the_interval_is_scipys(values, confidence):
    spread = stats.sem(values)
    assume(spread > 1e-9)
    mean, half = mean_interval(values, confidence=confidence)
    low, high = stats.t.interval(confidence, len(values) - 1, loc=sum(values) / len(values), scale=spread)
    assert (mean - half, mean + half) == (pytest.approx(low, abs=1e-9), pytest.approx(high, abs=1e-9))


@given(some)
def test_the_order_of_seeds_changes_nothing(values):
    assert mean_interval(values) == pytest.approx(mean_interval(values[::-1]))


def test_one_value_has_no_interval():
    assert mean_interval([0.5]) == (0.5, None)
    assert paired([0.5], [0.2]) == (pytest.approx(0.3), None, None)


@given(st.lists(st.tuples(shares, shares), min_size=2, max_size=12))
def test_the_paired_test_is_scipys(pairs):
    a, b = zip(*pairs, strict=True)
    gaps = [x - y for x, y in pairs]
    assume(stats.sem(gaps) > 1e-6)
    found = paired(a, b)
    expected = stats.ttest_rel(a, b)
    assert found.p == pytest.approx(expected.pvalue, abs=1e-9)
    low, high = expected.confidence_interval(0.95)
    assert found.difference == pytest.approx((low + high) / 2, abs=1e-9)
    assert found.half_width == pytest.approx((high - low) / 2, abs=1e-9)


@given(st.lists(st.tuples(shares, shares), min_size=2, max_size=12))
def test_swapping_the_sides_turns_the_sign_only(pairs):
    a, b = zip(*pairs, strict=True)
    one, other = paired(a, b), paired(b, a)
    assert one.difference == pytest.approx(-other.difference)
    assert (one.half_width, one.p) == pytest.approx((other.half_width, other.p))
    assert 0 <= one.p <= 1


def test_without_spread_p_says_only_whether_they_are_equal():
    assert paired([0.1, 0.2], [0.1, 0.2]) == (0, 0, 1)
    assert paired([0.75, 0.5], [0.5, 0.25]) == (0.25, 0, 0)
    assert paired([0.3, 0.1 + 0.2], [0.1 + 0.2, 0.3]).p == 1  # they differ in the last bit only


def test_holm_on_a_worked_example():
    # sorted 0.005, 0.011, 0.02, 0.04 times 4, 3, 2, 1, each at least the one before
    assert holm([0.011, 0.02, 0.04, 0.005]) == pytest.approx([0.033, 0.04, 0.04, 0.02])


@given(st.lists(st.none() | shares, max_size=8))
def test_holm_only_raises_keeps_the_order_and_stays_below_one(values):
    adjusted = holm(values)
    assert [a is None for a in adjusted] == [v is None for v in values]
    both = sorted((v, a) for v, a in zip(values, adjusted, strict=True) if v is not None)
    assert all(v <= a <= 1 for v, a in both)
    assert [a for _, a in both] == sorted(a for _, a in both)


@pytest.mark.parametrize("values", [[], [0.5, math.nan], [math.inf]])
def test_what_has_no_mean_is_refused(values):
    with pytest.raises(ValueError, match="value"):
        mean_interval(values)


def test_unequal_lengths_are_refused():
    with pytest.raises(ValueError, match="2 and 1 values"):
        paired([0.1, 0.2], [0.1])
