"""Rows of numbers as they come from files, and what becomes of those that lack some."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ..data_warnings import DataWarning

__all__ = [
    "Missing",
    "Rows",
    "Source",
    "Watch",
    "columns_without_row_numbers",
    "from_row",
    "treat_missing",
    "treated",
    "unwatched",
    "without_row_numbers",
]

Array = NDArray[Any]
Missing = Literal["error", "drop", "nan"]
Watch = Callable[[float], None]  # is told which part of a file has been read, up to 1

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


def unwatched(part: float) -> None:
    """For sources whose progress nobody watches."""


class Source(Protocol):
    """A table in a file, of which columns can be read."""

    path: str
    names: list[str] | None
    width: int
    dimensions: int  # 2 but for images
    progress: Watch

    def read(self, columns: list[int] | None, labels: Collection[int] = ()) -> Rows:
        """The columns of these indices in this order, or all; those of `labels` hold labels, and
        numbers that stand for them."""
        ...

    def pieces(self, columns: list[int], labels: Collection[int] = ()) -> Iterator[Rows]:
        """The same rows, some at a time; at least one piece, which may have none."""
        ...


def from_row(start: int, rows: Rows) -> Rows:
    """Rows of a file from the row `start` on, whose places are those of the file's."""
    return replace(rows, place=lambda row: rows.place(start + row))


def treat_missing(rows: Rows, missing: Missing, path: str) -> Rows:
    """The rows without those that lack a number, or an error of them, as `missing` says.

    Raises
    ------
    ValueError
        If `missing` is 'error' and cells are; it tells the first and the number of such rows.
    """
    (found,) = treated([rows], missing, path)
    return found


def treated(pieces: Iterable[Rows], missing: Missing, path: str) -> Iterator[Rows]:
    """The pieces of a file, as `treat_missing` has them.

    The error, or the warning, comes at the end: it has the number of rows.
    """
    if missing not in ("error", "drop", "nan"):
        raise ValueError(f"missing must be 'error', 'drop' or 'nan', got {missing!r}")
    first, count, total = "", 0, 0
    for rows in pieces:
        lacking = _lacking(rows, missing)
        if not first and lacking.any():
            first = _first_gap(rows, lacking)
        count += int(lacking.sum())
        total += len(lacking)
        if missing != "error" or count == 0:
            yield _without(rows, lacking)
    if count == 0:
        return
    if missing == "error":
        raise ValueError(
            f"{path}, {first}: missing; {count:,} of {total:,} rows lack a number: missing='drop' "
            "(--missing drop) leaves such rows out, missing='nan' keeps them"
        )
    warnings.warn(
        f"{path}: left out {count:,} of {total:,} rows, which lack a number",
        DataWarning,
        stacklevel=4,
    )


def _first_gap(rows: Rows, lacking: NDArray[np.bool_]) -> str:
    """Where the first number is missing."""
    first = int(lacking.argmax())
    if rows.array.ndim != 2:
        return rows.place(first)
    return f"{rows.place(first)}, {rows.column(int(np.isnan(rows.array[first]).argmax()))}"


def _without(rows: Rows, lacking: NDArray[np.bool_]) -> Rows:
    if not lacking.any():
        return rows
    kept = np.flatnonzero(~lacking)
    return replace(rows, array=rows.array[kept], place=lambda row: rows.place(int(kept[row])))


def _lacking(rows: Rows, missing: Missing) -> NDArray[np.bool_]:
    """Which rows lack a number, looked at in pieces, for arrays may be larger than memory."""
    array, found = rows.array, np.zeros(len(rows.array), bool)
    if missing == "nan" or (missing == "error" and not rows.marked) or array.dtype.kind != "f":
        return found
    for start in range(0, len(array), _ROWS_AT_ONCE):
        piece = np.isnan(array[start : start + _ROWS_AT_ONCE])
        found[start : start + _ROWS_AT_ONCE] = piece.reshape(len(piece), -1).any(axis=1)
    return found


def without_row_numbers(rows: Rows, path: str) -> Rows:
    """The rows without the index that pandas writes, of integers that all differ: in text a first
    column without a name. A warning tells of it."""
    index = None if rows.array.ndim != 2 else _index(rows.names)
    if index is None or not _number_rows(rows.array[:, index]):
        return rows
    _tell_index(index, path)
    rest = slice(1, None) if index == 0 else slice(None, -1)
    names = rows.names and rows.names[rest]
    return replace(rows, array=rows.array[:, rest], names=names, columns=rows.columns[rest])


def columns_without_row_numbers(source: Source) -> list[int]:
    """All columns but such an index, which is read for it, for all of its numbers count."""
    columns = list(range(source.width))
    index = None if source.dimensions != 2 else _index(source.names)
    if index is None or not _number_rows(source.read([index]).array[:, 0]):
        return columns
    _tell_index(index, source.path)
    return columns[1:] if index == 0 else columns[:-1]


def _number_rows(numbers: Array) -> bool:
    """Whether they are integers that all differ."""
    whole = np.isfinite(numbers).all() and (numbers == np.round(numbers)).all()
    return len(numbers) > 0 and bool(whole) and len(np.unique(numbers)) == len(numbers)


def _tell_index(index: int, path: str) -> None:
    warnings.warn(
        f"{path}: left out the {'first' if index == 0 else 'last'} column, which has no name and "
        "numbers the rows, as pandas writes its index (index=False writes none); columns= "
        "(--columns) chooses others",
        DataWarning,
        stacklevel=4,
    )


def _index(names: list[str] | None) -> int | None:
    """Where a column may be pandas' index."""
    if names is None or len(names) < 2:
        return None
    if names[0] in ("", "Unnamed: 0"):
        return 0
    return len(names) - 1 if names[-1] == "__index_level_0__" else None
