"""Numbers as a reader wants them: with a unit, three figures, and a sign where it matters."""

from collections.abc import Callable
from math import isnan

NOTHING = "–"
MINUS = "−"


def share(value: float | None) -> str:
    """Return a share as a percentage.

    Examples
    --------
    >>> share(0.1972), share(None)
    ('19.7 %', '–')
    """
    return _or_nothing(value, lambda held: f"{100 * held:.1f} %".replace("-", MINUS))


def points(value: float | None) -> str:
    """Return a difference of shares in percentage points, with its sign.

    Examples
    --------
    >>> points(-0.25), points(0.0)
    ('−25.0', '0.0')
    """
    return _or_nothing(value, lambda held: signed(100 * held, 1))


def signed(value: float, digits: int) -> str:
    """Return a number with its sign; what rounds to zero has none.

    Examples
    --------
    >>> signed(0.26, 1), signed(-0.04, 1)
    ('+0.3', '0.0')
    """
    text = f"{abs(value):.{digits}f}"
    return text if not float(text) else ("+" if value > 0 else MINUS) + text


def plain(value: float | None, digits: int = 3) -> str:
    """Return a number with a fixed number of digits.

    Examples
    --------
    >>> plain(-0.12345)
    '−0.123'
    """
    return _or_nothing(value, lambda held: f"{held:.{digits}f}".replace("-", MINUS))


def amount(value: float | None, unit: str = "") -> str:
    """Return a count with a prefix of a thousand, a million …

    Examples
    --------
    >>> amount(982), amount(16242), amount(3_499_108), amount(121_896_960, "FLOP")
    ('982', '16.2 k', '3.50 M', '122 MFLOP')
    """
    return _or_nothing(value, lambda held: _scaled(held, ("", "k", "M", "G", "T", "P", "E"), unit))


def size(value: float | None) -> str:
    """Return bytes with a decimal prefix.

    Examples
    --------
    >>> size(0), size(68294), size(491896832)
    ('0 B', '68.3 kB', '492 MB')
    """
    return amount(value, "B")


def seconds(value: float | None) -> str:
    """Return a duration.

    Examples
    --------
    >>> seconds(0.0214), seconds(3.26), seconds(192), seconds(7380)
    ('21 ms', '3.3 s', '3 min 12 s', '2 h 03 min')
    """
    return _or_nothing(value, _seconds)


def probability(p: float | None) -> str:
    """Return a p-value; very small ones as a bound.

    Examples
    --------
    >>> probability(0.0312), probability(1e-6), probability(None)
    ('0.031', '< 0.001', '–')
    """
    return _or_nothing(p, lambda held: "< 0.001" if held < 0.001 else f"{held:.3f}")


def _or_nothing(value: float | None, written: Callable[[float], str]) -> str:
    return NOTHING if value is None or isnan(value) else written(value)


def _seconds(value: float) -> str:
    if value < 0.9995:
        return f"{1000 * value:.0f} ms"
    if value < 59.95:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def _scaled(value: float, prefixes: tuple[str, ...], unit: str) -> str:
    place = 0
    while abs(value) >= 999.5 and place < len(prefixes) - 1:
        value, place = value / 1000, place + 1
    whole = place == 0 and value == int(value)
    digits = 0 if whole or abs(value) >= 99.95 else 1 if abs(value) >= 9.995 else 2
    return f"{value:.{digits}f} {prefixes[place]}{unit}".rstrip().replace("-", MINUS)
