"""Tables in Parquet and Feather, by pyarrow."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..atomic import atomic_write
from .column_source import ColumnSource, Field
from .extras import library

__all__ = ["open_arrow", "write_arrow"]

Array = NDArray[Any]


def open_arrow(path: str, parquet: bool) -> ColumnSource:
    """The table of a file; nulls are missing."""
    arrow = library("pyarrow", path)
    with open(path, "rb"):
        pass  # raises OSError with the name
    try:
        if parquet:
            file = library("pyarrow.parquet", path).ParquetFile(path)
            schema, length = file.schema_arrow, file.metadata.num_rows
        else:
            table = library("pyarrow.feather", path).read_table(path, memory_map=True)
            schema, length = table.schema, table.num_rows
    except (arrow.ArrowInvalid, OSError) as error:
        raise ValueError(f"{path}: {error}") from error

    def read(i: int) -> Any:
        name = schema.names[i]
        if not parquet:
            return table.column(i)
        same = schema.names[:i].count(name)
        return file.read(columns=[name]).column(same)

    def field(i: int) -> Field:
        return Field(
            schema.names[i],
            1,
            lambda: _numbers(read(i), arrow),
            str(schema.types[i]),
            lambda: read(i).to_pylist(),
        )

    fields = [field(i) for i in range(len(schema.names))]
    return ColumnSource(path, fields, length, marked=True)


def _numbers(column: Any, arrow: Any) -> Array:
    """The values with NaN for nulls; others than numbers as they are."""
    kind, types = column.type, arrow.types
    if types.is_boolean(kind) or types.is_integer(kind) or types.is_decimal(kind):
        column = column.cast(arrow.float64(), safe=False)
    elif not types.is_floating(kind):
        return np.empty(len(column), object)
    array: Array = column.to_numpy()
    return array


def write_arrow(
    path: str | os.PathLike[str], table: Array, names: list[str] | None, parquet: bool
) -> None:
    """Write a table of shape (n, columns); without names they are 0, 1, ..."""
    name = os.fspath(path)
    arrow = library("pyarrow", name)
    names = [str(i) for i in range(table.shape[1])] if names is None else names
    native = table.astype(table.dtype.newbyteorder("="), copy=False)
    columns = arrow.table([np.ascontiguousarray(column) for column in native.T], names=names)
    with atomic_write(path) as file:
        if parquet:
            library("pyarrow.parquet", name).write_table(columns, file)
        else:
            library("pyarrow.feather", name).write_feather(columns, file)
