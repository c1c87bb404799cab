"""Tables of numbers in files: one reader and one writer for every format."""

from __future__ import annotations

import operator
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .delimited import DELIMITERS, read_delimited, write_delimited
from .numpy_files import read_npy, read_npz, write_npy, write_npz

Array = NDArray[Any]


def load_table(
    path: str | os.PathLike[str], columns: Sequence[str | int] | None = None
) -> tuple[Array, list[str] | None]:
    """Read a table of numbers.

    ========  =====================================================================================
    ``.npy``  Mapped, not read: an array larger than memory can be used.
    ``.npz``  Of one array, or ``"file.npz:key"`` to pick one. A text array ``columns``, if there,
              names the columns.
    ``.csv``  Or ``.tsv``: text with commas, tabs or semicolons between cells, quoted or not, in
              UTF-8. A first line without any number is the header.
    ========  =====================================================================================

    Parameters
    ----------
    path : str or path-like
        The file; the format follows from its ending. Pickled objects are never read.
    columns : sequence of str or int, optional
        Names or indices of the columns to keep, in this order; copies the table.

    Returns
    -------
    array : ndarray, shape (n, features)
        Read-only and in the file's number type for ``.npy``, float64 for text. A one-dimensional
        array becomes a table of one column; arrays of more dimensions keep their shape.
    names : list of str or None
        The column names, if the file has any.

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        If it is not a table of numbers, or lacks the key or columns asked for. For text the message
        has the line and the column.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from cflows import data
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "stars.csv"
    ...     _ = path.write_text("ra;dec\\n1.5;-2\\n3e2;4\\n")
    ...     data.load_table(path)
    (array([[  1.5,  -2. ],
           [300. ,   4. ]]), ['ra', 'dec'])
    """
    file, key = _split_key(os.fspath(path))
    suffix = _suffix(file)
    if suffix == ".npz":
        array, names = read_npz(file, key)
    elif suffix == ".npy":
        array, names = read_npy(file), None
    else:
        array, names = read_delimited(file)
    array = _as_table(array, os.fspath(path))
    if columns is None:
        return array, names
    indices = _column_indices(columns, names, array.shape, os.fspath(path))
    return array[:, indices], names and [names[i] for i in indices]


def save_table(
    path: str | os.PathLike[str], array: ArrayLike, columns: Sequence[str] | None = None
) -> None:
    """Write a table of numbers, such that `load_table` gives the same numbers back.

    The file is written under another name and then renamed, so that there is never half a table.

    Parameters
    ----------
    path : str or path-like
        The format follows from the ending: ``.npy``, ``.npz``, ``.csv`` or ``.tsv``.
    array : array_like of real numbers, shape (n, features) or (n,)
        ``.npy`` and ``.npz`` take more dimensions.
    columns : sequence of str, optional
        Names of the columns. An ``.npy`` file cannot hold them.

    Raises
    ------
    OSError
        If the file cannot be written.
    ValueError
        If the ending is unknown, the array is not a table, or the names do not fit it.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from cflows import data
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "stars.csv"
    ...     data.save_table(path, [[0.1, 2], [1 / 3, 4]], columns=["ra", "dec"])
    ...     print(path.read_text(), end="")
    ra,dec
    0.1,2.0
    0.3333333333333333,4.0
    """
    suffix = _suffix(path)
    table = _as_table(np.asanyarray(array), "array")
    names = None if columns is None else _checked_names(columns, table.shape)
    if suffix == ".npz":
        write_npz(path, table, names)
    elif suffix == ".npy":
        write_npy(path, table)
    else:
        write_delimited(path, table, names)


def _split_key(path: str) -> tuple[str, str | None]:
    """``"file.npz:key"`` to ``("file.npz", "key")``."""
    match = re.fullmatch(r"(.+\.npz):(.+)", path, re.IGNORECASE)
    return (match[1], match[2]) if match else (path, None)


def _suffix(path: str | os.PathLike[str]) -> str:
    suffix = Path(path).suffix.lower()
    known = (".npy", ".npz", *DELIMITERS)
    if suffix not in known:
        raise ValueError(f"{os.fspath(path)}: expected a name ending in one of {', '.join(known)}")
    return suffix


def _as_table(array: Array, where: str) -> Array:
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{where}: expected real numbers, got dtype {array.dtype}")
    if array.ndim == 0:
        raise ValueError(f"{where}: expected a table, got a single number")
    return array[:, None] if array.ndim == 1 else array


def _checked_names(columns: Sequence[str], shape: tuple[int, ...]) -> list[str]:
    if len(shape) != 2 or len(columns) != shape[1]:
        raise ValueError(f"got {len(columns)} column names for an array of shape {shape}")
    return [str(name) for name in columns]


def _column_indices(
    columns: Sequence[str | int], names: list[str] | None, shape: tuple[int, ...], where: str
) -> list[int]:
    if isinstance(columns, str):
        raise ValueError(f"columns must be a list of names or indices, got {columns!r}")
    if len(shape) != 2:
        raise ValueError(f"{where}: an array of shape {shape} has no columns to choose from")
    return [_column_index(column, names, shape[1], where) for column in columns]


def _column_index(column: str | int, names: list[str] | None, width: int, where: str) -> int:
    if isinstance(column, str):
        if names is None:
            raise ValueError(f"{where}: no column {column!r}, the columns have no names")
        if names.count(column) != 1:
            found = "several columns" if column in names else "no column"
            raise ValueError(f"{where}: {found} {column!r} among {', '.join(names)}")
        return names.index(column)
    index = operator.index(column)
    if not -width <= index < width:
        raise ValueError(f"{where}: no column {index}, there are {width}")
    return index
