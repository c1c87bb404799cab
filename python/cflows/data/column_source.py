"""Files that hold their columns apart, as tables."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .labels import numbered
from .rows import Rows

__all__ = ["ColumnSource", "Field", "without_mask"]

Array = NDArray[Any]


@dataclass(frozen=True)
class Field:
    """What a file has under one name: a column, or several if each row has a vector."""

    name: str
    size: int
    read: Callable[[], Array]  # (n,) or (n, size)
    holds: str = ""  # what, for messages; empty is the type of the array
    read_objects: Callable[[], list[Any]] | None = None  # for labels; None is what `read` gives

    @property
    def names(self) -> list[str]:
        """Of its columns."""
        return [self.name] if self.size == 1 else [f"{self.name}[{i}]" for i in range(self.size)]

    def objects(self, i: int) -> list[Any]:
        """The values of one of its columns as they are."""
        if self.read_objects is not None:
            return self.read_objects()
        values = self.read()
        found: list[Any] = (values if values.ndim == 1 else values[:, i]).tolist()
        return found


class ColumnSource:
    """A `Source` of fields, of which those asked for are read one by one."""

    dimensions = 2

    def __init__(self, path: str, fields: Sequence[Field], length: int, marked: bool) -> None:
        if not fields:
            raise ValueError(f"{path}: expected a table, there are no columns")
        self.path, self._length, self._marked = path, length, marked
        self._places = [(field, i) for field in fields for i in range(field.size)]
        self.names: list[str] | None = [name for field in fields for name in field.names]
        self.width = len(self._places)

    def read(self, columns: list[int] | None, labels: Collection[int] = ()) -> Rows:
        chosen = list(range(self.width)) if columns is None else columns
        table: Array = np.empty((self._length, len(chosen)), np.float32)
        names = self.names or []
        found: dict[int, list[str]] = {}
        field, values = None, np.empty(0)
        for k, column in enumerate(chosen):
            wanted, i = self._places[column]
            if column in labels:
                numbers, found[column] = numbered(wanted.objects(i))
            else:
                if wanted is not field:
                    field, values = wanted, self._numbers(wanted, column)
                numbers = values if values.ndim == 1 else values[:, i]
            if table.dtype.itemsize < numbers.dtype.itemsize:
                former, table = table, np.empty(table.shape, numbers.dtype)
                table[:, :k] = former[:, :k]
            table[:, k] = numbers
        return Rows(table, [names[i] for i in chosen], chosen, marked=self._marked, labels=found)

    def _numbers(self, field: Field, column: int) -> Array:
        """Its numbers, in float32 if they are so exactly, else in float64."""
        values = field.read()
        if values.dtype.kind not in "biuf":
            raise ValueError(
                f"{self.path}: column {column + 1} ({field.name}): expected numbers, got "
                f"{field.holds or values.dtype}; choose the columns to read (columns=, --columns)"
            )
        small = values.dtype.kind == "f" and values.dtype.itemsize <= 4
        return values.astype(np.float32 if small else np.float64, copy=False)


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
