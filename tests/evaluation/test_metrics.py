import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polymnia.evaluation import metrics

shares = st.floats(0, 1)
EVERY = (
    metrics.final_average,
    metrics.average_incremental,
    metrics.forgetting,
    metrics.backward_transfer,
    metrics.learning_accuracy,
)


@st.composite
def matrices(draw, scores=shares, least=1):
    """Lower triangles: row i scores the test sets 0 … i."""
    n = draw(st.integers(least, 6))
    return [[draw(scores) for _ in range(i + 1)] + [None] * (n - i - 1) for i in range(n)]


WORKED = [[0.9, None, None], [0.6, 0.8, None], [0.7, 0.5, 1.0]]


@pytest.mark.parametrize(
    ("figure", "expected"),
    [
        (metrics.final_average, (0.7 + 0.5 + 1.0) / 3),
        (metrics.average_incremental, (0.9 + (0.6 + 0.8) / 2 + (0.7 + 0.5 + 1.0) / 3) / 3),
        (metrics.forgetting, ((0.9 - 0.7) + (0.8 - 0.5)) / 2),
        (metrics.backward_transfer, ((0.7 - 0.9) + (0.5 - 0.8)) / 2),
        (metrics.learning_accuracy, (0.9 + 0.8 + 1.0) / 3),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_worked_example(figure, expected):
    assert figure(WORKED) == pytest.approx(expected)


@given(matrices())
def test_figures_of_shares_are_finite_and_in_range(matrix):
    for figure in EVERY:
        signed = figure in (metrics.forgetting, metrics.backward_transfer)
        assert -1e-12 - signed <= figure(matrix) <= 1 + 1e-12


@given(st.lists(shares, min_size=1, max_size=6))
def test_nothing_is_forgotten_where_columns_are_constant(scores):
    matrix = [[*scores[: i + 1], *[None] * (len(scores) - i - 1)] for i in range(len(scores))]
    assert metrics.forgetting(matrix) == 0
    assert metrics.backward_transfer(matrix) == 0
    assert metrics.final_average(matrix) == pytest.approx(metrics.learning_accuracy(matrix))


@given(matrices())
def test_backward_transfer_is_minus_forgetting_where_the_best_is_the_diagonal(matrix):
    capped = [[None if s is None else min(s, matrix[j][j]) for j, s in enumerate(row)] for row in matrix]
    assert metrics.backward_transfer(capped) == pytest.approx(-metrics.forgetting(capped))


@given(matrices())
def test_forgetting_is_at_least_the_drop_from_the_diagonal(matrix):
    assert metrics.forgetting(matrix) >= -metrics.backward_transfer(matrix) - 1e-12


@given(matrices(least=2), st.data())
def test_scores_ahead_change_nothing_but_forward_transfer(matrix, data):
    ahead = [[data.draw(shares) if s is None else s for s in row] for row in matrix]
    for figure in EVERY:
        assert figure(ahead) == figure(matrix)
    before = [data.draw(shares) for _ in matrix]
    assert metrics.forward_transfer(matrix, before) is None
    transfer = metrics.forward_transfer(ahead, before)
    assert transfer == pytest.approx(sum(ahead[j - 1][j] - before[j] for j in range(1, len(ahead))) / (len(ahead) - 1))


@pytest.mark.parametrize("nothing", [None, math.nan])
@given(matrix=matrices(least=2), data=st.data())
def test_a_stage_without_test_samples_is_left_out(nothing, matrix, data):
    empty = data.draw(st.integers(0, len(matrix) - 1))
    with_gap = [[nothing if j == empty else s for j, s in enumerate(row)] for row in matrix]
    held = [s for j, s in enumerate(matrix[-1]) if j != empty]
    assert metrics.final_average(with_gap) == pytest.approx(sum(held) / len(held))
    diagonal = [matrix[j][j] for j in range(len(matrix)) if j != empty]
    assert metrics.learning_accuracy(with_gap) == pytest.approx(sum(diagonal) / len(diagonal))
    drops = [matrix[j][j] - matrix[-1][j] for j in range(len(matrix) - 1) if j != empty]
    if drops:
        assert metrics.backward_transfer(with_gap) == pytest.approx(-sum(drops) / len(drops))
        assert math.isfinite(metrics.forgetting(with_gap))


def test_forward_transfer_leaves_out_a_stage_without_test_samples():
    matrix = [[0.9, None, 0.3], [0.8, None, 0.5], [0.7, None, 0.9]]
    assert metrics.forward_transfer(matrix, [0.1, None, 0.1]) == pytest.approx(0.5 - 0.1)


def test_a_figure_that_nothing_was_scored_for_is_nan():
    assert all(math.isnan(figure([[None, None], [None, None]])) for figure in EVERY)
    assert metrics.forward_transfer([[None, None], [None, None]], [None, None]) is None


def test_one_stage_forgets_nothing():
    assert metrics.forgetting([[0.4]]) == metrics.backward_transfer([[0.4]]) == 0
    assert metrics.forward_transfer([[0.4]], [0.1]) is None


@given(matrices())
def test_a_method_is_not_intransigent_against_itself(matrix):
    assert metrics.intransigence(matrix, matrix) == 0


def test_intransigence_needs_the_same_number_of_stages():
    assert metrics.intransigence(WORKED, [[1.0], [0, 1.0], [0, 0, 1.0]]) == pytest.approx((0.1 + 0.2 + 0) / 3)
    with pytest.raises(ValueError, match="3 stages"):
        metrics.intransigence(WORKED, [[1.0]])
