"""Tables in Parquet and Feather, by pyarrow."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..atomic import atomic_write
from .blocks import rows_at_once
from .column_source import ColumnSource, Field
from .extras import library

__all__ = ["open_feather", "open_parquet", "write_arrow"]

Array = NDArray[Any]
# Reads the columns of these indices, in rising order, some rows at a time: an arrow array of each.
Batches = Callable[[list[int]], Iterator[list[Any]]]

_BUFFER = 1 << 20  # bytes of each column
_FIRST_VERSION = b"FEA1"  # of Feather, until 2020


def open_parquet(path: str) -> ColumnSource:
    """The table of a file, which is read as it is asked for; nulls are missing."""
    parquet = library("pyarrow.parquet", path)
    with open(path, "rb"):
        pass  # raises OSError with the name
    with _errors_of(path):
        # By default arrow keeps all that it has read ahead until the end of the file.
        file = parquet.ParquetFile(path, pre_buffer=False, buffer_size=_BUFFER)
    names = file.schema_arrow.names

    def batches(columns: list[int]) -> Iterator[list[Any]]:
        size, chosen = rows_at_once(len(columns)), [names[i] for i in columns]
        for batch in file.iter_batches(size, columns=chosen):
            yield [_column(batch, names, i) for i in columns]

    return _source(path, file.schema_arrow, file.metadata.num_rows, batches)


def _column(batch: Any, names: list[str], index: int) -> Any:
    """The column of that index among all names, of a batch that has all columns of its name."""
    same = [i for i, name in enumerate(batch.schema.names) if name == names[index]]
    return batch.column(same[names[:index].count(names[index])])


def open_feather(path: str) -> ColumnSource:
    """The table of a file, which is read batch by batch; nulls are missing."""
    ipc = library("pyarrow.ipc", path)
    with open(path, "rb") as file:
        if file.read(len(_FIRST_VERSION)) == _FIRST_VERSION:
            return _open_first_version(path)

    def opened(columns: list[int]) -> Any:
        options = ipc.IpcReadOptions(included_fields=columns)
        return ipc.open_file(library("pyarrow", path).memory_map(path), options=options)

    def batches(columns: list[int]) -> Iterator[list[Any]]:
        file = opened(columns)
        for i in range(file.num_record_batches):
            yield file.get_batch(i).columns

    with _errors_of(path):
        schema = opened([]).schema
        length = sum(len(column) for [column] in batches([0])) if len(schema) else 0
    return _source(path, schema, length, batches)


def _open_first_version(path: str) -> ColumnSource:
    """The table of a file that has no batches."""
    with _errors_of(path):
        table = library("pyarrow.feather", path).read_table(path)

    def batches(columns: list[int]) -> Iterator[list[Any]]:
        yield [table.column(i) for i in columns]

    return _source(path, table.schema, len(table), batches)


def _source(path: str, schema: Any, length: int, batches: Batches) -> ColumnSource:
    arrow = library("pyarrow", path)
    no_rows = schema.empty_table().columns

    def parts(chosen: list[int]) -> Iterator[list[Array]]:
        with _errors_of(path):
            for columns in batches(chosen) if length else [[no_rows[i] for i in chosen]]:
                yield [_numbers(column, arrow) for column in columns]

    fields = [Field(name, 1, str(schema.field(i).type)) for i, name in enumerate(schema.names)]
    return ColumnSource(path, fields, length, parts, marked=True)


@contextmanager
def _errors_of(path: str) -> Iterator[None]:
    """Errors of the file as ValueError with its name."""
    arrow = library("pyarrow", path)
    try:
        yield
    except (arrow.ArrowInvalid, OSError) as error:
        raise ValueError(f"{path}: {error}") from error


def _numbers(column: Any, arrow: Any) -> Array:
    """The values with NaN for nulls; others than numbers as they are, None for nulls."""
    kind, types = column.type, arrow.types
    truth = types.is_boolean(kind) and column.null_count > 0
    if truth or types.is_integer(kind) or types.is_decimal(kind):
        column = column.cast(arrow.float64(), safe=False)
    elif not (types.is_boolean(kind) or types.is_floating(kind)):
        found = np.empty(len(column), object)
        found[:] = column.to_pylist()
        return found
    array: Array = column.to_numpy(zero_copy_only=False)
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
