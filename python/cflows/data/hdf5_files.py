"""Tables in HDF5, by h5py."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..atomic import atomic_write
from .array_source import ArraySource
from .blocks import in_chunks, ranges, rows_at_once
from .column_source import ColumnSource, Field
from .extras import library
from .rows import Source

__all__ = ["open_hdf5", "write_hdf5"]

Array = NDArray[Any]

_NAMES = "columns"


def open_hdf5(path: str, key: str | None) -> Source:
    """A data set of numbers, or of records, or a group of data sets that are a column each.

    Without a key it is the only data set of the file, or all of them together if they are columns.
    Numbers that are stored as they are in memory are mapped, not read.
    """
    h5py = library("h5py", path)
    with open(path, "rb"):
        pass  # raises OSError with the name
    with _opened(path) as file:
        found = _chosen(file, key, path, h5py)
        if isinstance(found, h5py.Group):
            # Vectors alone may be tables of their own.
            if _dimensions_in(found, h5py) not in ({1}, {1, 2}):
                raise ValueError(f"{path}: {found.name} is not a group of columns of one length")
            return _columns(path, found)
        if _dimensions(found) == 0:
            raise ValueError(f"{path}: {found.name} is no table: it has no rows")
        if found.dtype.names is not None:
            return _records(path, found)
        return ArraySource(path, _array(path, found), _names(found))


@contextmanager
def _opened(path: str) -> Iterator[Any]:
    """The file, whose errors are ValueError with its name."""
    try:
        with library("h5py", path).File(path, "r") as file:
            yield file
    except (OSError, KeyError, RuntimeError) as error:
        raise ValueError(f"{path}: {error}") from error


def _chosen(file: Any, key: str | None, path: str, h5py: Any) -> Any:
    if key is not None:
        if key not in file:
            raise ValueError(f"{path}: no {key!r} among {', '.join(_paths(file, h5py))}")
        return file[key]
    paths = _paths(file, h5py)
    if len(paths) == 1:
        return file[paths[0]]
    if _is_table(file, h5py):
        return file
    if not paths:
        raise ValueError(f"{path}: there is no data set in it")
    raise ValueError(
        f"{path}: pick one of its data sets or groups, as in {path}:{paths[0]}, from "
        f"{', '.join(paths)}"
    )


def _paths(file: Any, h5py: Any) -> list[str]:
    """Of all data sets."""
    found: list[str] = []
    file.visititems(lambda name, x: found.append(name) if isinstance(x, h5py.Dataset) else None)
    return found


def _is_table(group: Any, h5py: Any) -> bool:
    """Whether all of its members are columns of one length."""
    return _dimensions_in(group, h5py) == {1}


def _dimensions_in(group: Any, h5py: Any) -> set[int]:
    """Those of its members, if these are data sets of one length; else none."""
    members = list(group.values())
    if not all(isinstance(x, h5py.Dataset) and _dimensions(x) > 0 for x in members):
        return set()
    return set(map(_dimensions, members)) if len({len(x) for x in members}) == 1 else set()


def _dimensions(data: Any) -> int:
    """0 also of a data set without any data."""
    return 0 if data.shape is None else len(data.shape)


class _DataSet:
    """A data set of numbers, of which slices of rows are read."""

    def __init__(self, path: str, data: Any) -> None:
        self.path, self.name = path, data.name
        self.shape, self.dtype = data.shape, data.dtype
        self.chunk = _chunk(data)

    def __getitem__(self, rows: slice) -> Array:
        with _opened(self.path) as file:
            array: Array = file[self.name][rows]
        return array


def _array(path: str, data: Any) -> Array | _DataSet:
    offset = data.id.get_offset()
    plain = data.dtype.kind in "iuf" and data.chunks is None and data.compression is None
    if offset is None or data.size == 0 or not plain:
        return _DataSet(path, data)
    return np.memmap(path, data.dtype, "r", offset, data.shape)


def _names(data: Any) -> list[str] | None:
    """Those that `write_hdf5` has put beside the data."""
    names = data.attrs.get(_NAMES)
    if names is None or data.ndim != 2 or np.shape(names) != (data.shape[1],):
        return None
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]


def _chunk(data: Any) -> int:
    """How many rows are stored together."""
    return data.chunks[0] if data.chunks else 1


def _columns(path: str, group: Any) -> ColumnSource:
    fields = [Field(name, int(np.prod(data.shape[1:]))) for name, data in group.items()]
    place, length = group.name, len(group[fields[0].name])
    chunk = max(map(_chunk, group.values()))

    def parts(wanted: list[int]) -> Iterator[list[Array]]:
        with _opened(path) as file:
            columns = [file[place][fields[i].name] for i in wanted]
            size = rows_at_once(sum(fields[i].size for i in wanted))
            for rows in ranges(length, in_chunks(size, chunk)):
                yield [np.asarray(column[rows]) for column in columns]

    return ColumnSource(path, fields, length, parts, marked=False)


def _records(path: str, data: Any) -> ColumnSource:
    dtype, place, length, chunk = data.dtype, data.name, len(data), _chunk(data)
    fields = [Field(name, int(np.prod(dtype[name].shape))) for name in dtype.names]

    def parts(wanted: list[int]) -> Iterator[list[Array]]:
        with _opened(path) as file:
            for rows in ranges(length, in_chunks(rows_at_once(len(fields)), chunk)):
                records = file[place][rows]
                chosen = [fields[i] for i in wanted]
                yield [records[f.name].reshape(len(records), f.size) for f in chosen]

    return ColumnSource(path, fields, length, parts, marked=False)


def write_hdf5(path: str | os.PathLike[str], array: Array, names: list[str] | None) -> None:
    """Write an array as the data set ``data``, and the names of its columns as an attribute."""
    h5py = library("h5py", os.fspath(path))
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        data = file.create_dataset("data", data=array)
        if names is not None:
            data.attrs[_NAMES] = names
    with atomic_write(path) as out:
        out.write(memory.getbuffer())
