"""Rows of numbers as they come from files, and what becomes of those that lack some."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ..data_warnings import DataWarning

__all__ = ["Missing", "Rows", "Source", "treat_missing", "without_row_numbers"]

Array = NDArray[Any]
Missing = Literal["error", "drop", "nan"]

_ROWS_AT_ONCE = 1 << 18


def _row(index: int) -> str:
    return f"row {index}"


@dataclass(frozen=True)
class Rows:
    """Rows of a file.

    Attributes
    ----------
    array : ndarray
    names : list of str or None
        Of its columns.
    columns : list of int
        Their indices in the file.
    place : callable
        Where a row is in the file: ``"line 12"``.
    labels : dict of int -> list of str
        Of the columns, by their indices in the file, that were read as labels: those that their
        numbers 0, 1, ... stand for.
    marked : bool
        Whether NaN stands for cells that the file leaves out; in arrays it is a number like others.
    """

    array: Array
    names: list[str] | None
    columns: list[int]
    place: Callable[[int], str] = _row
    marked: bool = False
    labels: dict[int, list[str]] = field(default_factory=dict)

    def column(self, index: int) -> str:
        """What to call a column in messages."""
        number = f"column {self.columns[index] + 1}"
        name = "" if self.names is None else self.names[index]
        return f"{number} ({name})" if name else number


class Source(Protocol):
    """A table in a file, of which columns can be read."""

    path: str
    names: list[str] | None
    width: int
    dimensions: int  # 2 but for images

    def read(self, columns: list[int] | None, labels: Collection[int] = ()) -> Rows:
        """The columns of these indices in this order, or all; those of `labels` hold labels, and
        numbers that stand for them."""
        ...


def treat_missing(rows: Rows, missing: Missing, path: str) -> Rows:
    """The rows without those that lack a number, or an error of them, as `missing` says.

    Raises
    ------
    ValueError
        If `missing` is 'error' and cells are; it tells the first and the number of such rows.
    """
    if missing not in ("error", "drop", "nan"):
        raise ValueError(f"missing must be 'error', 'drop' or 'nan', got {missing!r}")
    array = rows.array
    if missing == "nan" or (missing == "error" and not rows.marked) or array.dtype.kind != "f":
        return rows
    lacking = _lacking(array)
    if not lacking.any():
        return rows
    count = int(lacking.sum())
    first = int(lacking.argmax())
    column = int(np.isnan(array[first]).reshape(-1).argmax())
    told = rows.place(first)
    if array.ndim == 2:
        told += f", {rows.column(column)}"
    told += f": missing; {count:,} of {len(array):,} rows lack a number"
    if missing == "error":
        raise ValueError(
            f"{path}, {told}: missing='drop' (--missing drop) leaves such rows out, missing='nan' "
            "keeps them"
        )
    kept = np.flatnonzero(~lacking)
    warnings.warn(
        f"{path}: left out {count:,} of {len(array):,} rows, which lack a number",
        DataWarning,
        stacklevel=3,
    )
    return replace(rows, array=array[kept], place=lambda row: rows.place(int(kept[row])))


def _lacking(array: Array) -> NDArray[np.bool_]:
    """Which rows hold NaN, looked at in pieces, for arrays may be larger than memory."""
    found = np.empty(len(array), bool)
    for start in range(0, len(array), _ROWS_AT_ONCE):
        piece = np.isnan(array[start : start + _ROWS_AT_ONCE])
        found[start : start + _ROWS_AT_ONCE] = piece.reshape(len(piece), -1).any(axis=1)
    return found


def without_row_numbers(rows: Rows, path: str) -> Rows:
    """The rows without the index that pandas writes, of integers that all differ: in text a first
    column without a name. A warning tells of it."""
    index = _index(rows)
    if index is None:
        return rows
    numbers = rows.array[:, index]
    whole = np.isfinite(numbers).all() and (numbers == np.round(numbers)).all()
    if len(numbers) == 0 or not whole or len(np.unique(numbers)) < len(numbers):
        return rows
    warnings.warn(
        f"{path}: left out the {'first' if index == 0 else 'last'} column, which has no name and "
        "numbers the rows, as pandas writes its index (index=False writes none); columns= "
        "(--columns) chooses others",
        DataWarning,
        stacklevel=3,
    )
    rest = slice(1, None) if index == 0 else slice(None, -1)
    names = rows.names and rows.names[rest]
    return replace(rows, array=rows.array[:, rest], names=names, columns=rows.columns[rest])


def _index(rows: Rows) -> int | None:
    """Where a column may be pandas' index."""
    names = rows.names or []
    if len(names) < 2 or rows.array.ndim != 2:
        return None
    if names[0] in ("", "Unnamed: 0"):
        return 0
    return len(names) - 1 if names[-1] == "__index_level_0__" else None
