"""Tables in HDF5, by h5py."""

from __future__ import annotations

import io
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..atomic import atomic_write
from .array_source import ArraySource
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
    try:
        with h5py.File(path, "r") as file:
            found = _chosen(file, key, path, h5py)
            if isinstance(found, h5py.Group):
                return _columns(path, found)
            if found.dtype.names is not None:
                return _records(path, found)
            return ArraySource(path, _array(path, found), _names(found))
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
    members = list(group.values())
    columns = all(isinstance(x, h5py.Dataset) and x.ndim == 1 for x in members)
    return columns and len({len(x) for x in members}) == 1


def _array(path: str, data: Any) -> Array:
    offset = data.id.get_offset()
    plain = data.dtype.kind in "iuf" and data.chunks is None and data.compression is None
    if offset is None or data.size == 0 or not plain:
        array: Array = data[()]
        return array
    return np.memmap(path, data.dtype, "r", offset, data.shape)


def _names(data: Any) -> list[str] | None:
    """Those that `write_hdf5` has put beside the data."""
    names = data.attrs.get(_NAMES)
    if names is None or data.ndim != 2 or np.shape(names) != (data.shape[1],):
        return None
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]


def _columns(path: str, group: Any) -> ColumnSource:
    columns = {name: np.asarray(data[()]) for name, data in group.items()}
    lengths = {len(column) if column.ndim == 1 else -1 for column in columns.values()}
    if len(lengths) != 1 or -1 in lengths:
        raise ValueError(f"{path}: {group.name} is not a group of columns of one length")

    def field(name: str) -> Field:
        return Field(name, 1, lambda: columns[name])

    return ColumnSource(path, [field(name) for name in columns], lengths.pop(), marked=False)


def _records(path: str, data: Any) -> ColumnSource:
    table = data[()]

    def field(name: str) -> Field:
        column = table[name]
        size = int(np.prod(column.shape[1:]))
        flat = column if column.ndim == 1 else column.reshape(len(column), size)
        return Field(name, size, lambda: flat)

    return ColumnSource(path, [field(name) for name in table.dtype.names], len(table), marked=False)


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
