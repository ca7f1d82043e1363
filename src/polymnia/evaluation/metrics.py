"""Figures of a matrix of scores: row i after stage i, column j the test set of stage j, None where not scored."""

from collections.abc import Sequence

Row = Sequence[float | None]
Matrix = Sequence[Row]


def final_average(matrix: Matrix) -> float:
    """Return the mean over all test sets after the last stage.

    Examples
    --------
    >>> final_average([[1.0, None], [0.5, 0.9]])
    0.7
    """
    return _mean(matrix[-1][: len(matrix)])


def average_incremental(matrix: Matrix) -> float:
    """Return the mean, over stages, of the mean over the test sets seen so far.

    Examples
    --------
    >>> average_incremental([[1.0, None], [0.5, 0.9]])
    0.85
    """
    return _mean([_mean(row[: i + 1]) for i, row in enumerate(matrix)])


def forgetting(matrix: Matrix) -> float:
    """Return the mean, over all but the last test set, of the largest drop from the best earlier score.

    Source: Chaudhry et al. 2018, "Riemannian walk", eq. 3. It is negative where a test set got better.

    Examples
    --------
    >>> forgetting([[1.0, None], [0.5, 0.9]])
    0.5
    """
    drops = [_best(matrix, j) - _at(matrix, -1, j) for j in range(len(matrix) - 1)]
    return _mean(drops) if drops else 0.0


def backward_transfer(matrix: Matrix) -> float:
    """Return the mean of final score minus score just after learning, over all but the last test set.

    Source: Lopez-Paz and Ranzato 2017, eq. 3.

    Examples
    --------
    >>> backward_transfer([[1.0, None], [0.5, 0.9]])
    -0.5
    """
    gains = [_at(matrix, -1, j) - _at(matrix, j, j) for j in range(len(matrix) - 1)]
    return _mean(gains) if gains else 0.0


def forward_transfer(matrix: Matrix, before: Row) -> float | None:
    """Return the mean of (score just before learning a test set's stage) − (score before any stage).

    None where the test sets ahead were not scored. Source: Lopez-Paz and Ranzato 2017, eq. 4.

    Examples
    --------
    >>> forward_transfer([[1.0, 0.3], [0.5, 0.9]], [0.1, 0.1])
    0.2
    """
    gains = []
    for j in range(1, len(matrix)):
        ahead, start = matrix[j - 1][j], before[j] if j < len(before) else None
        if ahead is None or start is None:
            return None
        gains.append(ahead - start)
    return round(_mean(gains), 12) if gains else None


def learning_accuracy(matrix: Matrix) -> float:
    """Return the mean of the diagonal: how well each stage was learned when it came (plasticity).

    Examples
    --------
    >>> learning_accuracy([[1.0, None], [0.5, 0.9]])
    0.95
    """
    return _mean([_at(matrix, i, i) for i in range(len(matrix))])


def intransigence(matrix: Matrix, joint: Matrix) -> float:
    """Return the mean of (joint training's score on a stage when it came) − (this method's).

    Source: Chaudhry et al. 2018, eq. 4; positive: the method learns less than joint training could.

    Examples
    --------
    >>> round(intransigence([[1.0, None], [0.5, 0.8]], [[1.0, None], [0.9, 0.9]]), 6)
    0.05
    """
    return _mean([_at(joint, i, i) - _at(matrix, i, i) for i in range(len(matrix))])


def _at(matrix: Matrix, i: int, j: int) -> float:
    score = matrix[i][j]
    if score is None:
        raise ValueError(f"the score after stage {i} on test set {j} is missing")
    return score


def _best(matrix: Matrix, j: int) -> float:
    scores = [row[j] for row in matrix[:-1]]
    return max(score for score in scores if score is not None)


def _mean(scores: Sequence[float | None]) -> float:
    held = [score for score in scores if score is not None]
    return sum(held) / len(held) if held else float("nan")
