"""Means over seeds: their 95 % intervals, paired differences, and p-values for several comparisons at once."""

from collections.abc import Sequence
from math import fsum, isfinite, sqrt
from typing import NamedTuple

from polymnia.errors import MissingExtra

CONFIDENCE = 0.95
_ROUNDING = 1e-12
"""Differences this small against the values themselves come from floating-point sums, not from the methods."""


class Interval(NamedTuple):
    """A mean, and the half width of its interval; None for one value, which has no interval."""

    mean: float
    half_width: float | None


class Paired(NamedTuple):
    """The mean of a − b, the half width of its interval, and the two-sided p; the last two are None for one pair."""

    difference: float
    half_width: float | None
    p: float | None


def mean_interval(values: Sequence[float], *, confidence: float = CONFIDENCE) -> Interval:
    """Return the mean and the half width of its interval by Student's t with n − 1 degrees of freedom.

    Parameters
    ----------
    values : sequence of float
        One per seed, finite, at least one.
    confidence : float
        Between 0 and 1.

    Raises
    ------
    ValueError
        No value, or one that is not finite.

    Source: Student 1908, "The probable error of a mean".

    Examples
    --------
    >>> mean, half = mean_interval([0.70, 0.72, 0.74])
    >>> round(mean, 3), round(half, 3)
    (0.72, 0.05)
    >>> mean_interval([0.7])
    Interval(mean=0.7, half_width=None)
    """
    mean = _mean(values)
    if len(values) == 1:
        return Interval(mean, None)
    return Interval(mean, _quantile(len(values) - 1, confidence) * _standard_error(values, mean))


def paired(a: Sequence[float], b: Sequence[float], *, confidence: float = CONFIDENCE) -> Paired:
    """Return the mean of a − b over pairs, its interval, and the p of a two-sided paired t-test.

    When every difference is the same there is no spread to test against: p is 1 for equal values, and otherwise 0.

    Parameters
    ----------
    a, b : sequence of float
        Of the same seeds in the same order.

    Raises
    ------
    ValueError
        The lengths differ, there is no pair, or a value is not finite.

    Source: Student 1908.

    Examples
    --------
    >>> difference, half, p = paired([0.8, 0.9, 0.7], [0.6, 0.8, 0.4])
    >>> round(difference, 3), round(half, 3), round(p, 3)
    (0.2, 0.248, 0.074)
    """
    if len(a) != len(b):
        raise ValueError(f"{len(a)} and {len(b)} values cannot be paired")
    gaps = [_gap(x, y) for x, y in zip(a, b, strict=True)]
    mean, half = mean_interval(gaps, confidence=confidence)
    if half is None:
        return Paired(mean, None, None)
    error = _standard_error(gaps, mean)
    scale = max(abs(gap) for gap in gaps)
    if error <= _ROUNDING * scale:
        return Paired(mean, half, 0.0 if scale else 1.0)
    return Paired(mean, half, _two_sided(mean / error, len(gaps) - 1))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return p-values adjusted for how many there are, in the same order; None stays None and does not count.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure".

    Examples
    --------
    >>> holm([0.01, None, 0.04, 0.03])
    [0.03, None, 0.06, 0.06]
    """
    order = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, place) in enumerate(order):
        highest = max(highest, min(1.0, p * (len(order) - rank)))
        adjusted[place] = highest
    return adjusted


def _mean(values: Sequence[float]) -> float:
    if not values:
        raise ValueError("there is no value to take the mean of")
    strange = [value for value in values if not isfinite(value)]
    if strange:
        raise ValueError(f"{strange[0]} is among the values; each must be a finite number")
    return fsum(values) / len(values)


def _standard_error(values: Sequence[float], mean: float) -> float:
    return sqrt(fsum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values))


def _gap(x: float, y: float) -> float:
    return 0.0 if abs(x - y) <= _ROUNDING * max(abs(x), abs(y)) else x - y


def _quantile(freedom: int, confidence: float) -> float:
    try:
        from scipy.special import stdtrit  # scipy.stats has it too, and takes ten times as long to import
    except ImportError:
        raise MissingExtra("scipy", "report") from None
    return float(stdtrit(freedom, 0.5 + confidence / 2))


def _two_sided(t: float, freedom: int) -> float:
    try:
        from scipy.special import stdtr
    except ImportError:
        raise MissingExtra("scipy", "report") from None
    return min(1.0, 2 * float(stdtr(freedom, -abs(t))))
