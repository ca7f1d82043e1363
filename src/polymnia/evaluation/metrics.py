"""Figures of a matrix of scores: row i after stage i, column j the test set of stage j, None where not scored.

A stage without test samples has a column of None (or NaN); every figure leaves it out. Scores of test sets ahead change
nothing but forward transfer. A figure that nothing was scored for is NaN (null in `scores.json`).
"""

from collections.abc import Sequence
from math import fsum, isnan

Row = Sequence[float | None]
Matrix = Sequence[Row]
Columns = Sequence[int] | None
"""The test sets that a figure is of; None: all of them."""


def final_average(matrix: Matrix, columns: Columns = None) -> float:
    """Return the mean over all test sets, or some, after the last stage.

    Examples
    --------
    >>> final_average([[1.0, None], [0.5, 0.9]]), final_average([[1.0, None], [0.5, 0.9]], [1])
    (0.7, 0.9)
    """
    return _mean([matrix[-1][j] for j in _chosen(matrix, columns)])


def average_incremental(matrix: Matrix) -> float:
    """Return the mean, over stages, of the mean over the test sets seen so far.

    Examples
    --------
    >>> average_incremental([[1.0, None], [0.5, 0.9]])
    0.85
    """
    return _mean([_mean(row[: i + 1]) for i, row in enumerate(matrix)])


def forgetting(matrix: Matrix, columns: Columns = None) -> float:
    """Return the mean, over all but the last test set, of the largest drop from the best earlier score.

    It is negative where a test set got better. Only scores from a test set's own stage on count as earlier ones:
    what was right before it was learned was not learned. Of some columns it is NaN where only the last is among them.

    Source: Chaudhry et al. 2018, "Riemannian walk", eq. 3.

    Examples
    --------
    >>> forgetting([[1.0, None], [0.5, 0.9]])
    0.5
    """
    if len(matrix) < 2 and columns is None:
        return 0.0
    earlier = [j for j in _chosen(matrix, columns) if j < len(matrix) - 1]
    return _mean([_difference(_best(matrix, j), matrix[-1][j]) for j in earlier])


def backward_transfer(matrix: Matrix, columns: Columns = None) -> float:
    """Return the mean of final score minus score just after learning, over all but the last test set.

    With its sign turned it is what papers on unified models call forgetting: from the diagonal, over T − 1 test sets.
    Of some columns it is NaN where only the last is among them.

    Source: Lopez-Paz and Ranzato 2017, eq. 3.

    Examples
    --------
    >>> backward_transfer([[1.0, None], [0.5, 0.9]])
    -0.5
    """
    if len(matrix) < 2 and columns is None:
        return 0.0
    earlier = [j for j in _chosen(matrix, columns) if j < len(matrix) - 1]
    return _mean([_difference(matrix[-1][j], matrix[j][j]) for j in earlier])


def forward_transfer(matrix: Matrix, before: Row) -> float | None:
    """Return the mean of (score just before learning a test set's stage) − (score before any stage).

    None where the test sets ahead were not scored.

    Source: Lopez-Paz and Ranzato 2017, eq. 4.

    Examples
    --------
    >>> round(forward_transfer([[1.0, 0.3], [0.5, 0.9]], [0.1, 0.1]), 6)
    0.2
    >>> forward_transfer([[1.0, None], [0.5, 0.9]], [])
    """
    gains = [
        _difference(matrix[j - 1][j], before[j] if j < len(before) else None)
        for j in range(1, len(matrix))
        if _held([matrix[j][j]])
    ]
    return _mean(gains) if gains and None not in gains else None


def learning_accuracy(matrix: Matrix, columns: Columns = None) -> float:
    """Return the mean of the diagonal, or some of it: how well each stage was learned when it came (plasticity).

    Examples
    --------
    >>> learning_accuracy([[1.0, None], [0.5, 0.9]])
    0.95
    """
    return _mean([matrix[j][j] for j in _chosen(matrix, columns)])


def intransigence(matrix: Matrix, joint: Matrix) -> float:
    """Return the mean of (joint training's score on a stage when it came) − (this method's).

    Source: Chaudhry et al. 2018, eq. 4; positive: the method learns less than joint training could.

    Examples
    --------
    >>> round(intransigence([[1.0, None], [0.5, 0.8]], [[1.0, None], [0.9, 0.9]]), 6)
    0.05
    """
    if len(matrix) != len(joint):
        raise ValueError(f"{len(matrix)} stages cannot be compared with joint training's {len(joint)}")
    return _mean([_difference(joint[i][i], matrix[i][i]) for i in range(len(matrix))])


def gap_to_single(matrix: Matrix, single: Row, columns: Columns = None) -> float:
    """Return the mean of (score of a model that learned this stage alone) − (final score).

    Parameters
    ----------
    matrix : Matrix
        Of the stream.
    single : Row
        By test set, of runs over its own stage alone.
    columns : sequence of int, optional
        Some of the test sets.

    Source: Wei et al. 2025, "overall Δ", as the specification (section 5, row 13) reads it: no definition was found.

    Examples
    --------
    >>> round(gap_to_single([[1.0, None], [0.5, 0.8]], [1.0, 0.9]), 6)
    0.3
    """
    if len(single) < len(matrix):
        raise ValueError(f"{len(matrix)} stages cannot be compared with {len(single)} runs over one stage each")
    return _mean([_difference(single[j], matrix[-1][j]) for j in _chosen(matrix, columns)])


def _chosen(matrix: Matrix, columns: Columns) -> list[int]:
    return list(range(len(matrix))) if columns is None else [j for j in columns if j < len(matrix)]


def _difference(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a - b


def _best(matrix: Matrix, j: int) -> float | None:
    return max(_held([row[j] for row in matrix[j:-1]]), default=None)


def _held(scores: Row) -> list[float]:
    return [score for score in scores if score is not None and not isnan(score)]


def _mean(scores: Row) -> float:
    held = _held(scores)
    return fsum(held) / len(held) if held else float("nan")
