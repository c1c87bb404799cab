"""Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

DASH = "–"


def figure(value: float | None, digits: int = 3) -> str:
    """A number with so many significant digits, 1,234 for large ones; a dash for None."""
    if value is None:
        return DASH
    if value == 0:
        return "0"
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]], names: int = 1) -> str:
    """A table whose first `names` columns are aligned to the left, the others to the right."""
    table = [list(header), *map(list, rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if column < names else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return "| " + " | ".join(padded) + " |"

    rule = ["-" * width if c < names else "-" * (width - 1) + ":" for c, width in enumerate(widths)]
    return "\n".join([line(table[0]), line(rule), *map(line, table[1:])])
