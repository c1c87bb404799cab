"""Tables of numbers in files: one reader and one writer for every format."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .array_source import as_table
from .dialect import Header
from .rows import Missing, Source, treat_missing, without_row_numbers
from .sources import column_index, ending, open_source, write_array

Array = NDArray[Any]


def load_table(
    path: str | os.PathLike[str],
    columns: Sequence[str | int] | None = None,
    *,
    missing: Missing = "error",
    header: Header = "auto",
    decimal: str = "auto",
) -> tuple[Array, list[str] | None]:
    """Read a table of numbers.

    ============  =================================================================================
    ``.npy``      Mapped, not read: an array larger than memory can be used.
    ``.npz``      Of one array, or ``"file.npz:key"`` to pick one. A text array ``columns``, if
                  there, names the columns.
    ``.csv``      Or ``.tsv``, ``.txt``, ``.dat``, each also with ``.gz``: text with commas, tabs,
                  semicolons, bars or blanks between cells, quoted or not, in UTF-8 or with a byte
                  order mark. Lines that begin with ``#`` are comments.
    ``.parquet``  Or ``.feather``, by pyarrow.
    ``.fits``     By astropy: the only table, or ``"file.fits:extension"``, by name or number.
    ``.h5``       Or ``.hdf5``, by h5py: the only data set, or ``"file.h5:name"`` of one or of a
                  group of columns. Mapped if it is stored in one piece.
    ============  =================================================================================

    ``pip install 'cflows[tables]'`` installs these three libraries. Vectors in rows of FITS and
    HDF5 are the columns ``name[0]``, ``name[1]``, ...

    Parameters
    ----------
    path : str or path-like
        The file; the format follows from its ending. Pickled objects are never read.
    columns : sequence of str or int, optional
        Names or indices of the columns to keep, in this order. Of text only they are read: others
        may hold anything.
    missing : {'error', 'drop', 'nan'}, default 'error'
        What becomes of rows without a number in some column, where text has an empty cell, ``NA``,
        ``NaN``, ``null``, ``-`` or what else pandas takes for missing, Parquet and Feather a null,
        FITS a masked number, or any of these NaN: an error that tells the first, or rows left out
        with a warning, or NaN. In NumPy's and HDF5's arrays NaN is a number like others, unless
        `missing` is 'drop'.
    header : {'auto', True, False}, default 'auto'
        Whether the first line of text names the columns; see Notes.
    decimal : {'auto', '.', ','}, default 'auto'
        The decimal point of text. 'auto' takes a comma if cells have one and none has a point.

    Returns
    -------
    array : ndarray, shape (n, features)
        Read-only and in the file's number type for ``.npy``, float64 for text, correctly rounded;
        of columns apart float32 if all are, else float64. A one-dimensional array becomes a table
        of one column; arrays of more dimensions keep their shape.
    names : list of str or None
        The column names, if the file has any.

    Raises
    ------
    OSError
        If the file cannot be opened.
    ImportError
        If the library that reads the format is not installed.
    ValueError
        If it is not a table of numbers, or lacks the key or columns asked for, or a number, or may
        be read in two ways. For text the message has the line and the column.

    Warns
    -----
    DataWarning
        Of what is left out: rows by ``missing='drop'``, units, an index.

    Notes
    -----
    A first line without any number is a header. So are, over numbers with fractions, the numbers 0,
    1, ..., n - 1 that pandas writes for columns without names, and any different integers behind an
    empty cell. If integers may be names as well as a row, an error asks for `header`. Without a
    header, a comment before the rows names the columns if it has as many words, as
    `numpy.savetxt` writes it.

    A first column without a name, of integers that all differ, is the index that pandas writes. It
    is left out with a warning, unless `columns` asks for it. A line of text under the header and
    over numbers is taken for units, with a warning too.

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
    source = open_source(os.fspath(path), header, decimal)
    if columns is None:
        rows = without_row_numbers(source.read(None), source.path)
    else:
        rows = source.read(_indices(columns, source))
    rows = treat_missing(rows, missing, source.path)
    return rows.array, rows.names


def save_table(
    path: str | os.PathLike[str], array: ArrayLike, columns: Sequence[str] | None = None
) -> None:
    """Write a table of numbers, such that `load_table` gives the same numbers back.

    The file is written under another name and then renamed, so that there is never half a table.

    Parameters
    ----------
    path : str or path-like
        The format follows from the ending, which is one of those that `load_table` reads.
    array : array_like of real numbers, shape (n, features) or (n,)
        ``.npy``, ``.npz`` and ``.h5`` take more dimensions.
    columns : sequence of str, optional
        Names of the columns. An ``.npy`` file cannot hold them; Parquet, Feather and FITS cannot do
        without and have 0, 1, ... then.

    Raises
    ------
    OSError
        If the file cannot be written.
    ImportError
        If the library that writes the format is not installed.
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
    ending(path)
    table = as_table(np.asanyarray(array), "array")
    names = None if columns is None else _checked_names(columns, table.shape)
    write_array(path, table, names)


def _checked_names(columns: Sequence[str], shape: tuple[int, ...]) -> list[str]:
    if len(shape) != 2 or len(columns) != shape[1]:
        raise ValueError(
            f"columns must be as many names as there are columns, got {len(columns)} for an array "
            f"of shape {shape}"
        )
    return [str(name) for name in columns]


def _indices(columns: Sequence[str | int], source: Source) -> list[int]:
    if isinstance(columns, str):
        raise ValueError(f"columns must be a list of names or indices, got {columns!r}")
    if source.dimensions != 2:
        raise ValueError(
            f"{source.path}: an array of {source.dimensions} dimensions has no columns"
        )
    return [column_index(column, source) for column in columns]
