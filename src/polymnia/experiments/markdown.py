"""Tables and numbers in Markdown."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table.

    Examples
    --------
    >>> print(table(("method", "score"), [("a|b", "0.5")]))
    | method | score |
    | --- | --- |
    | a\\|b | 0.5 |
    """
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def interval(figure: Mapping[str, Any] | None, write: Callable[[float], str]) -> str:
    """Return a mean with the half width of its interval, where there is one above zero.

    Examples
    --------
    >>> interval({"mean": 0.5, "half_width": 0.012, "n": 5}, "{:.3f}".format)
    '0.500 ± 0.012'
    """
    if figure is None:
        return "–"
    return write(figure["mean"]) + (f" ± {write(figure['half_width'])}" if figure["half_width"] else "")
