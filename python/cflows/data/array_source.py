"""Arrays of files as tables."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .blocks import in_chunks, joined, ranges, rows_at_once
from .labels import Numbers, labels_of, numbered
from .rows import Rows, Watch, from_row, unwatched

__all__ = ["ArraySource", "Stored", "as_table", "selected"]

Array = NDArray[Any]


class Stored(Protocol):
    """An array in a file, of which slices of rows are read."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunk: int  # the rows that are stored together

    def __getitem__(self, rows: slice, /) -> Array: ...


class ArraySource:
    """A `Source` of an array whose first dimension is rows, of any other dimensions."""

    def __init__(self, path: str, array: Array | Stored, names: list[str] | None) -> None:
        _check(array, path)
        self.path, self.names = path, names
        self.progress: Watch = unwatched
        self.array = array
        self.shape = array.shape if len(array.shape) > 1 else (*array.shape, 1)
        self.dimensions = len(self.shape)
        self.width = math.prod(self.shape[1:])

    def read(self, columns: list[int] | None, labels: Collection[int] = ()) -> Rows:
        if columns is None and not labels:
            array = self.array  # a mapped one stays on disk
            if not isinstance(array, np.ndarray):
                array = joined((part for _, part in self._slices()), self.shape[0])
            return Rows(array.reshape(self.shape), self.names, list(range(self.width)))
        columns = list(range(self.width)) if columns is None else columns
        known: Numbers = {i: {} for i in labels}
        if isinstance(self.array, np.ndarray) and not labels:
            return self._rows(self.array, columns, known)
        parts = (self._rows(array, columns, known).array for _, array in self._slices())
        array = joined(parts, self.shape[0])
        return Rows(array, self._names(columns), columns, labels=labels_of(known))

    def pieces(self, columns: list[int], labels: Collection[int] = ()) -> Iterator[Rows]:
        known: Numbers = {i: {} for i in labels}
        for start, array in self._slices():
            yield from_row(start, self._rows(array, columns, known))

    def _slices(self) -> Iterator[tuple[int, Array]]:
        """Rows, and which is the first of them."""
        length, size = self.shape[0], rows_at_once(self.width)
        for stored in ranges(length, in_chunks(size, getattr(self.array, "chunk", 1))):
            array = self.array[stored]
            for rows in ranges(len(array), size):
                self.progress((stored.start + rows.stop) / max(length, 1))
                yield stored.start + rows.start, array[rows]

    def _rows(self, array: Array, columns: list[int], known: Numbers) -> Rows:
        flat = array.reshape(len(array), self.width)
        table = selected(flat, columns)
        table = table.astype(np.float64) if known else table
        for i, own in known.items():
            table[:, columns.index(i)] = numbered(flat[:, i].tolist(), own)
        return Rows(table, self._names(columns), columns, labels=labels_of(known))

    def _names(self, columns: list[int]) -> list[str] | None:
        return None if self.names is None else [self.names[i] for i in columns]


def as_table(array: Array, where: str) -> Array:
    """An array of real numbers with rows; a vector is a column."""
    _check(array, where)
    return array[:, None] if array.ndim == 1 else array


def _check(array: Array | Stored, where: str) -> None:
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{where}: expected real numbers, got dtype {array.dtype}")
    if not array.shape:
        raise ValueError(f"{where}: expected a table, got a single number")


def selected(table: Array, indices: Sequence[int]) -> Array:
    """The columns; evenly spaced ones as a view, which leaves a mapped file on disk."""
    steps = set(np.diff(indices).tolist())
    if len(indices) > 0 and len(steps) <= 1 and min(steps, default=1) > 0:
        return table[:, indices[0] : indices[-1] + 1 : min(steps, default=1)]
    return table[:, indices]
