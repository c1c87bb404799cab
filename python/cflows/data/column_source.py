"""Files that hold their columns apart, as tables."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .blocks import joined, ranges, rows_at_once
from .labels import Numbers, labels_of, numbered
from .rows import Rows, Watch, from_row, unwatched

__all__ = ["ColumnSource", "Field", "Parts", "without_mask"]

Array = NDArray[Any]

# Reads the fields of these indices, some rows at a time and at least once: an array of each, of
# shape (n,) or (n, size).
Parts = Callable[[list[int]], Iterator[list[Array]]]


@dataclass(frozen=True)
class Field:
    """What a file has under one name: a column, or several if each row has a vector."""

    name: str
    size: int
    holds: str = ""  # what, for messages; empty is the type of the array

    @property
    def names(self) -> list[str]:
        """Of its columns."""
        return [self.name] if self.size == 1 else [f"{self.name}[{i}]" for i in range(self.size)]


class ColumnSource:
    """A `Source` of fields, of which those asked for are read some rows at a time."""

    dimensions = 2

    def __init__(
        self, path: str, fields: Sequence[Field], length: int, parts: Parts, marked: bool
    ) -> None:
        if not fields:
            raise ValueError(f"{path}: expected a table, there are no columns")
        self.path = path
        self.progress: Watch = unwatched
        self._fields, self._length, self._parts, self._marked = fields, length, parts, marked
        self._places = [(k, i) for k, field in enumerate(fields) for i in range(field.size)]
        self.names: list[str] | None = [name for field in fields for name in field.names]
        self.width = len(self._places)

    def read(self, columns: list[int] | None, labels: Collection[int] = ()) -> Rows:
        chosen = list(range(self.width)) if columns is None else columns
        known: Numbers = {i: {} for i in labels}
        return self._rows(joined(self._tables(chosen, known), self._length), chosen, known)

    def pieces(self, columns: list[int], labels: Collection[int] = ()) -> Iterator[Rows]:
        start = 0
        known: Numbers = {i: {} for i in labels}
        for table in self._tables(columns, known):
            yield from_row(start, self._rows(table, columns, known))
            start += len(table)

    def _rows(self, table: Array, columns: list[int], known: Numbers) -> Rows:
        names, labels = self.names or [], labels_of(known)
        return Rows(table, [names[i] for i in columns], columns, marked=self._marked, labels=labels)

    def _tables(self, columns: list[int], known: Numbers) -> Iterator[Array]:
        """The columns, (some, columns) at a time."""
        needed = sorted({self._places[column][0] for column in columns}) or [0]
        size, done = rows_at_once(len(columns)), 0
        for arrays in self._parts(needed):
            found = dict(zip(needed, arrays, strict=True))
            for rows in ranges(len(arrays[0]), size):
                some = {k: array[rows] for k, array in found.items()}
                table = self._table(some, columns, known)
                done += len(table)
                self.progress(done / max(self._length, 1))
                yield table

    def _table(self, arrays: dict[int, Array], columns: list[int], known: Numbers) -> Array:
        """The columns, of the fields that have them."""
        found = [self._numbers(arrays[self._places[i][0]], i, known.get(i)) for i in columns]
        dtype = np.result_type(np.float32, *(numbers.dtype for numbers in found))
        table = np.empty((len(next(iter(arrays.values()))), len(columns)), dtype)
        for i, numbers in enumerate(found):
            table[:, i] = numbers
        return table

    def _numbers(self, values: Array, column: int, known: dict[str, int] | None) -> Array:
        """One column of a field, in float32 if it is so exactly, else in float64; or what stands
        for its labels."""
        k, i = self._places[column]
        if known is not None:
            return numbered((values if values.ndim == 1 else values[:, i]).tolist(), known)
        if values.dtype.kind not in "biuf":
            field = self._fields[k]
            raise ValueError(
                f"{self.path}: column {column + 1} ({field.name}): expected numbers, got "
                f"{field.holds or values.dtype}; choose the columns to read (columns=, --columns)"
            )
        small = values.dtype.kind == "f" and values.dtype.itemsize <= 4
        one = values if values.ndim == 1 else values[:, i]
        return one.astype(np.float32 if small else np.float64, copy=False)


def without_mask(values: Any) -> Array:
    """The values, NaN where they are masked."""
    if not isinstance(values, np.ma.MaskedArray):
        return np.asarray(values)
    if values.dtype.kind not in "biuf" or not np.ma.getmaskarray(values).any():
        return np.asarray(values.data)
    small = values.dtype.kind == "f" and values.dtype.itemsize <= 4
    filled = np.array(values.data, np.float32 if small else np.float64)
    filled[np.ma.getmaskarray(values)] = np.nan
    return filled
