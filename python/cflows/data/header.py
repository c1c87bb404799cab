"""Whether the first line of a text table holds the names of its columns.

A line without any number is a header. One of numbers may be one too, such as the 0, 1, 2 that
pandas writes for columns without names. The rules, for a first line of different integers, where a
number *with a fraction* is one that is written with a point or an exponent:

- An empty first cell, over rows whose first cell is not: a header over pandas' row numbers.
- 0, 1, ..., n - 1, over rows with a fraction somewhere: a header; with a warning if there are only
  one or two columns.
- 0, 1, ..., n - 1, over integers alone: either; an error asks.
- Other integers, over three columns or more in which every number has a fraction: an error asks.
- Text over a column of numbers, beside integers over numbers with fractions: a header; beside
  integers over integers, an error asks.

Any other line with a number is a row.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from ..data_warnings import DataWarning
from .cells import is_plain_integer, kind_of

__all__ = ["is_header"]

_ENOUGH = 8  # numbers with fractions that make a line of integers remarkable


def is_header(
    first: Sequence[str], rows: Sequence[Sequence[str]], decimal: str, place: str
) -> bool:
    """Whether the first line is a header over these rows, as the rules above say.

    Raises
    ------
    ValueError
        If it may be either.
    """
    kinds = [kind_of(cell, decimal) for cell in first]
    rows = [row for row in rows if len(row) == len(first)]
    if "number" not in kinds:
        return "text" in kinds
    numbers = [i for i, kind in enumerate(kinds) if kind == "number"]
    cells = [first[i] for i in numbers]
    if not all(map(is_plain_integer, cells)) or len(set(cells)) < len(cells):
        return False
    indexed = first[0] == "" and numbers == list(range(1, len(first)))
    if indexed and rows and all(row[0] for row in rows):
        return True
    below = [row[i] for row in rows for i in numbers if kind_of(row[i], decimal) == "number"]
    whole = sum(map(is_plain_integer, below))
    if "text" in kinds:
        text = [i for i, kind in enumerate(kinds) if kind == "text"]
        over = any(_holds_numbers([row[i] for row in rows], decimal) for i in text)
        if over and whole:
            raise _question(first, place, "has numbers and, over numbers, text")
        return over
    if len(numbers) < len(first) or not below:
        return False
    return _counts_columns(first, len(below), whole, place)


def _holds_numbers(column: Sequence[str], decimal: str) -> bool:
    kinds = {kind_of(cell, decimal) for cell in column}
    return "number" in kinds and "text" not in kinds


def _counts_columns(first: Sequence[str], numbers: int, whole: int, place: str) -> bool:
    counted = list(first) == [str(i) for i in range(len(first))]
    if counted and whole < numbers:
        if len(first) < 3:
            warnings.warn(
                f"{place} ({_listed(first)}) is taken for the names of the columns, as pandas "
                "writes them; if it is a row, say header=False (--header no)",
                DataWarning,
                stacklevel=2,
            )
        return True
    if counted:
        raise _question(first, place, "counts the columns, as pandas names them, or is a row")
    if len(first) >= 3 and whole == 0 and numbers >= _ENOUGH:
        raise _question(first, place, "has integers over numbers that all have a fraction")
    return False


def _question(first: Sequence[str], place: str, what: str) -> ValueError:
    return ValueError(
        f"{place} ({_listed(first)}) {what}: say header=True (--header yes) if it names the "
        "columns, header=False (--header no) if it is a row"
    )


def _listed(cells: Sequence[str]) -> str:
    return ", ".join(cell[:20] for cell in cells[:6]) + (", …" if len(cells) > 6 else "")
