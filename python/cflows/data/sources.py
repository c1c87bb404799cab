"""Files that tables are read from, by the endings of their names."""

from __future__ import annotations

import operator
import os
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arguments import listed, near
from .array_source import ArraySource
from .arrow_files import open_feather, open_parquet, write_arrow
from .blocks import joined
from .delimited import Delimited
from .dialect import Header
from .fits_files import open_fits, write_fits
from .hdf5_files import open_hdf5, write_hdf5
from .numpy_files import read_npy, read_npz, write_npy, write_npy_pieces, write_npz
from .rows import Source
from .write_delimited import DELIMITERS, write_delimited

Array = NDArray[Any]

__all__ = [
    "ENDINGS",
    "column_index",
    "ending",
    "holds_text",
    "open_source",
    "split_key",
    "write_array",
    "write_pieces",
]

_ARRAYS = (".npy", ".npz")
_TEXT = (*DELIMITERS, *(f"{text}.gz" for text in DELIMITERS))
_PARQUET, _FEATHER, _FITS, _HDF5 = (".parquet",), (".feather",), (".fits",), (".h5", ".hdf5")
ENDINGS = (*_ARRAYS, *_TEXT, *_PARQUET, *_FEATHER, *_FITS, *_HDF5)


def open_source(path: str, header: Header = "auto", decimal: str = "auto") -> Source:
    """The table of a file.

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        If it is not a table, or an option is none of its choices.
    """
    if header not in ("auto", True, False):
        raise ValueError(f"header must be 'auto', True or False, got {header!r}")
    if decimal not in ("auto", ".", ","):
        raise ValueError(f"decimal must be 'auto', '.' or ',', got {decimal!r}")
    file, key = split_key(path)
    kind = ending(file)
    if kind == ".npy":
        return ArraySource(path, read_npy(file), None)
    if kind == ".npz":
        return ArraySource(path, *read_npz(file, key))
    if kind in _PARQUET:
        return open_parquet(file)
    if kind in _FEATHER:
        return open_feather(file)
    if kind in _FITS:
        return open_fits(file, key)
    if kind in _HDF5:
        return open_hdf5(file, key)
    return Delimited(file, header, decimal)


def write_array(path: str | os.PathLike[str], table: Array, names: list[str] | None) -> None:
    """Write a table in the format that the name's ending says."""
    kind = ending(path)
    if kind not in (*_ARRAYS, *_HDF5) and table.ndim != 2:
        raise ValueError(f"{kind} holds a table of rows and columns, got shape {table.shape}")
    if kind == ".npz":
        write_npz(path, table, names)
    elif kind == ".npy":
        write_npy(path, table)
    elif kind in (*_PARQUET, *_FEATHER):
        write_arrow(path, _of_eight_bytes(table), names, parquet=kind in _PARQUET)
    elif kind in _FITS:
        write_fits(path, _of_eight_bytes(table), names)
    elif kind in _HDF5:
        write_hdf5(path, table, names)
    else:
        write_delimited(path, [table], names)


def write_pieces(
    path: str | os.PathLike[str],
    pieces: Iterable[Array],
    names: Sequence[str] | None,
    rows: int | None = None,
) -> None:
    """Write a table of rows and columns that comes some rows at a time, and at least once.

    Text and ``.npy`` are written as it comes, for other formats it is collected first: in the
    memory that it needs if the number of its rows is known.
    """
    kind, names = ending(path), None if names is None else list(names)
    if kind == ".npy":
        write_npy_pieces(path, pieces)
    elif kind in _TEXT:
        write_delimited(path, pieces, names)
    else:
        write_array(path, joined(pieces, rows), names)


def holds_text(path: str | os.PathLike[str]) -> bool:
    """Whether a file of that name can have columns of text beside numbers: arrays of objects."""
    return ending(path) in (*_TEXT, *_PARQUET, *_FEATHER, *_FITS)


def _of_eight_bytes(table: Array) -> Array:
    """The table; long doubles, which most formats do not know, in float64."""
    return table.astype(np.float64) if table.dtype.itemsize > 8 else table


def split_key(path: str) -> tuple[str, str | None]:
    """``"file.npz:key"`` to ``("file.npz", "key")``."""
    match = re.fullmatch(r"(.+\.(?:npz|fits|h5|hdf5)):(.+)", path, re.IGNORECASE)
    return (match[1], match[2]) if match else (path, None)


def ending(path: str | os.PathLike[str]) -> str:
    """The ending that says the format; ValueError if none does."""
    name = os.fspath(path).lower()
    found = next((known for known in reversed(ENDINGS) if name.endswith(known)), None)
    if found is None:
        raise ValueError(
            f"{os.fspath(path)}: expected a name ending in one of {', '.join(ENDINGS)}"
        )
    return found


def column_index(column: str | int, source: Source) -> int:
    """The index of a column in the file, of a name or an index, which may count from the end."""
    if isinstance(column, str):
        if source.names is None:
            raise ValueError(
                f"{source.path}: no column {column!r}, the columns have no names: give numbers, "
                "from 0"
            )
        if source.names.count(column) != 1:
            raise ValueError(f"{source.path}: {_not_one(column, source.names)}")
        return source.names.index(column)
    index = operator.index(column)
    if not -source.width <= index < source.width:
        raise ValueError(
            f"{source.path}: no column {index}, they are numbered from 0 to {source.width - 1}"
        )
    return index % source.width


def _not_one(column: str, names: list[str]) -> str:
    if column in names:
        return f"{names.count(column)} columns are named {column!r}: give their numbers, from 0"
    return f"no column {column!r} among {listed(names)}{near(column, names)}"
