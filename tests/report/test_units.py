import pytest
from hypothesis import given
from hypothesis import strategies as st

from polymnia.report import units


@pytest.mark.parametrize(
    ("value", "text"), [(999.4, "999 "), (999.6, "1.00 k"), (9994, "9.99 k"), (9996, "10.0 k"), (99960, "100 k")]
)
def test_prefixes_change_where_rounding_does(value, text):
    assert units.amount(value) == text.rstrip()


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.9994, "999 ms"), (0.9996, "1.0 s"), (59.94, "59.9 s"), (59.96, "1 min 00 s"), (3599.6, "1 h 00 min")],
)
def test_seconds_never_show_sixty(value, text):
    assert units.seconds(value) == text


@given(st.floats(-1, 1))
def test_a_difference_keeps_its_sign_unless_it_shows_as_zero(value):
    text = units.points(value)
    assert text == "0.0" or (text[0] == "+") == (value > 0)


@given(st.none() | st.just(float("nan")))
def test_what_is_not_there_is_a_dash(value):
    for write in (units.share, units.points, units.plain, units.amount, units.size, units.seconds, units.probability):
        assert write(value) == units.NOTHING


@given(st.floats(0, 1))
def test_probabilities_are_never_shown_as_zero(p):
    assert units.probability(p) != "0.000"
