"""Arrays of files as tables."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .labels import with_labels
from .rows import Rows

__all__ = ["ArraySource", "as_table", "selected"]

Array = NDArray[Any]


class ArraySource:
    """A `Source` of an array whose first dimension is rows, of any other dimensions."""

    def __init__(self, path: str, array: Array, names: list[str] | None) -> None:
        self.path, self.names = path, names
        self.array = as_table(array, path)
        self.dimensions = self.array.ndim
        self.width = math.prod(self.array.shape[1:])

    def read(self, columns: list[int] | None, labels: Collection[int] = ()) -> Rows:
        if columns is None and not labels:
            return Rows(self.array, self.names, list(range(self.width)))
        columns = list(range(self.width)) if columns is None else columns
        flat = self.array.reshape(len(self.array), self.width)
        names = None if self.names is None else [self.names[i] for i in columns]
        rows = Rows(selected(flat, columns), names, columns)
        return with_labels(rows, {i: flat[:, i] for i in columns if i in labels})


def as_table(array: Array, where: str) -> Array:
    """An array of real numbers with rows; a vector is a column."""
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{where}: expected real numbers, got dtype {array.dtype}")
    if array.ndim == 0:
        raise ValueError(f"{where}: expected a table, got a single number")
    return array[:, None] if array.ndim == 1 else array


def selected(table: Array, indices: Sequence[int]) -> Array:
    """The columns; evenly spaced ones as a view, which leaves a mapped file on disk."""
    steps = set(np.diff(indices).tolist())
    if len(indices) > 0 and len(steps) <= 1 and min(steps, default=1) > 0:
        return table[:, indices[0] : indices[-1] + 1 : min(steps, default=1)]
    return table[:, indices]
