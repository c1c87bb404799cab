"""What the columns of a table may hold, looked at before a fit: messages have the file's lines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..columns import Column, real
from .tables import Table

Array = NDArray[np.generic]

_NUMBERS_AT_ONCE = 1 << 20  # a table may be larger than memory


def check(
    table: Table,
    columns: Sequence[Column] | None,
    context_columns: Sequence[Column] | None,
    may_lack: bool = False,
) -> None:
    """ValueError for the first number that is not finite, or not what its column is said to hold.

    It names the column, the line of the file and the number. Where rows may lack numbers, NaN of
    columns to learn is none.
    """
    _check(table, table.x, table.features, columns or [real] * len(table.features), may_lack)
    if table.context is not None:
        _check(table, table.context, table.given, context_columns or [real] * len(table.given))


def _check(
    table: Table,
    array: Array,
    indices: list[int],
    columns: Sequence[Column],
    may_lack: bool = False,
) -> None:
    step = max(1, _NUMBERS_AT_ONCE // array.shape[1])
    for start in range(0, len(array), step):
        x = np.asarray(array[start : start + step], np.float64)
        for values, index, column in zip(x.T, indices, columns, strict=True):
            outside = _outside(values, column) & ~(may_lack & np.isnan(values))
            if outside.any():
                row = int(outside.argmax())
                raise ValueError(
                    f"{table.cell(start + row, index)}: expected {_expected(column)}, got "
                    f"{values[row]:.15g}"
                )


def _outside(x: NDArray[np.float64], column: Column) -> NDArray[np.bool_]:
    outside = ~np.isfinite(x)
    if column.kind in ("positive", "interval"):
        outside |= ~((x > column.low) & (x < column.high))
    elif column.kind in ("count", "ordinal", "categorical"):
        outside |= ~((x >= column.low) & (x <= column.high) & (x == np.round(x)))
    return outside


def _expected(column: Column) -> str:
    if column.kind == "positive":
        return "a number above 0"
    if column.kind == "interval":
        return f"a number between {column.low:g} and {column.high:g}, not these"
    if column.kind == "count":
        return "an integer from 0"
    if column.kind in ("ordinal", "categorical"):
        return f"an integer from 0 to {column.high:g}"
    return "a finite number"
