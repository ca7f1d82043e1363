"""A comparison as plain text: aligned columns that a terminal, a log or a mail can show."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from polymnia.report import units

if TYPE_CHECKING:
    from polymnia.report.comparison import Difference, Summary


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]], *, words: int) -> str:
    """Return rows in columns: the first `words` to the left, the others to the right.

    Examples
    --------
    >>> print(aligned(["group", "n"], [["ewc", "5"], ["finetune", "10"]], words=1))
    group      n
    ewc        5
    finetune  10
    """
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    lines = [
        "  ".join(cell.ljust(width) if i < words else cell.rjust(width)
                  for i, (cell, width) in enumerate(zip(row, widths, strict=True))).rstrip()
        for row in (header, *rows)
    ]  # fmt: skip
    return "\n".join(lines)


def mean(summary: "Summary | None") -> str:
    """Return a mean and its interval."""
    if summary is None:
        return units.NOTHING
    return units.plain(summary.mean) + _half(summary.half_width)


def change(difference: "Difference") -> str:
    """Return a difference with its sign, and its interval."""
    return units.signed(difference.difference, 3) + _half(difference.half_width)


def _half(half_width: float | None) -> str:
    return "" if half_width is None else f" ± {half_width:.3f}"
