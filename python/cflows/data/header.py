"""Whether the first line of a text table holds the names of its columns.

A line without any number is a header. One of numbers may be one too, such as the 0, 1, 2 that
pandas writes for columns without names. The rules, for a first line whose numbers are different
integers, where a number *with a fraction* is one that is written with a point or an exponent:

- An empty first cell, over rows whose first cell is not: a header over pandas' row numbers.
- Text over a column of numbers: a header if all numbers under its integers have fractions; else an
  error asks.
- 0, 1, ..., n - 1 alone, over rows with a fraction somewhere: a header, with a warning if there
  are only one or two columns; over integers alone an error asks.
- Other integers that count up by one, such as years, over rows that do not: an error asks. So it
  does of any integers over numbers that all have fractions. Three integers must be there, or two
  and text.

Any other line with a number is a row.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import NoReturn

from ..data_warnings import DataWarning
from .cells import is_plain_integer, kind_of

__all__ = ["first_cells", "is_header"]

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
    if not rows or not all(map(is_plain_integer, cells)) or len(set(cells)) < len(cells):
        return False
    if first[0] == "" and numbers == list(range(1, len(first))) and all(row[0] for row in rows):
        return True
    below = [[row[i] for i in numbers] for row in rows]
    said = f"{place} ({first_cells(first)})"
    texts = [[row[i] for row in rows] for i, kind in enumerate(kinds) if kind == "text"]
    if any(_holds_numbers(column, decimal) for column in texts):
        if not _over_fractions(below, decimal):
            _ask(said, "has numbers and, over numbers, text")
        return True
    if len(numbers) == len(first) and cells == [str(i) for i in range(len(first))]:
        return _counts_columns(below, said)
    if len(numbers) + bool(texts) >= 3:
        if _counts_up(cells) and not all(map(_counts_up, below)):
            _ask(said, "counts up as names of columns may, over rows that do not")
        if _over_fractions(below, decimal) and len(below) * len(numbers) >= _ENOUGH:
            _ask(said, "has integers over numbers that all have a fraction")
    return False


def _holds_numbers(column: Sequence[str], decimal: str) -> bool:
    kinds = {kind_of(cell, decimal) for cell in column}
    return "number" in kinds and "text" not in kinds


def _over_fractions(below: Sequence[Sequence[str]], decimal: str) -> bool:
    """Whether all numbers are written with a fraction, and there are some."""
    numbers = [cell for row in below for cell in row if kind_of(cell, decimal) == "number"]
    return bool(numbers) and not any(map(is_plain_integer, numbers))


def _counts_up(cells: Sequence[str]) -> bool:
    if not all(map(is_plain_integer, cells)):
        return False
    return [int(cell) - int(cells[0]) for cell in cells] == list(range(len(cells)))


def _counts_columns(below: Sequence[Sequence[str]], said: str) -> bool:
    """Of 0, 1, ..., n - 1."""
    if all(is_plain_integer(cell) for row in below for cell in row):
        _ask(said, "counts the columns, as pandas names them, or is a row")
    if len(below[0]) < 3:
        warnings.warn(
            f"{said} is taken for the names of the columns, as pandas writes them; if it is a row, "
            "say header=False (--header no)",
            DataWarning,
            stacklevel=2,
        )
    return True


def _ask(said: str, what: str) -> NoReturn:
    raise ValueError(
        f"{said} {what}: say header=True (--header yes) if it names the columns, header=False "
        "(--header no) if it is a row"
    )


def first_cells(cells: Sequence[str]) -> str:
    """The first cells of a line with commas between them, for messages."""
    return ", ".join(cell[:20] for cell in cells[:6]) + (", …" if len(cells) > 6 else "")
