"""Tables that subcommands read and write."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..data import load_table
from ..data.delimited import DELIMITERS
from ..data.tables import _split_key

Array = NDArray[Any]

ENDINGS = (".npy", ".npz", *DELIMITERS)
TABLE_HELP = "table of numbers: .npy, .npz (or file.npz:key), .csv or .tsv, with or without header"
OUTPUT_HELP = f"file to write: {', '.join(ENDINGS)}"

# Ctrl-C takes effect between pieces.
_ROWS_AT_ONCE = 1 << 18


class Table(NamedTuple):
    """The rows of a file, (n, features), and their context, (n, context_features), if any."""

    x: Array
    context: Array | None
    features: list[int]  # the indices of x's columns in the file
    width: int  # columns of the file
    header: Sequence[str] | None
    path: str

    def feature_index(self, column: str) -> int:
        """The index among the features of a column, named or numbered as in the file."""
        index = _index(column, self.header, self.width, self.path)
        if index not in self.features:
            raise ValueError(f"{self.path}: column {column!r} is none of those to learn")
        return self.features.index(index)


def read(path: str, columns: Sequence[str] | None, context_columns: Sequence[str] | None) -> Table:
    """Read the columns of a file; without ``columns``, all but the context's. An ``.npy`` file
    stays on disk."""
    rows, header = load_table(path)
    rows = rows.reshape(len(rows), math.prod(rows.shape[1:]))
    width = rows.shape[1]
    context = _indices(context_columns or (), header, width, path)
    if columns is None:
        features = [i for i in range(width) if i not in context]
    else:
        features = _indices(columns, header, width, path)
    if not features and context:
        raise ValueError(f"{path}: all columns are context, there is none to learn")
    x = rows if features == list(range(width)) else _selected(rows, features)
    given = _selected(rows, context) if context else None
    return Table(x, given, features, width, header, path)


def pieces(rows: int) -> Iterator[slice]:
    """Consecutive ranges of rows."""
    for start in range(0, rows, _ROWS_AT_ONCE):
        yield slice(start, min(start + _ROWS_AT_ONCE, rows))


def check_table_name(path: str, *others: str | None) -> None:
    """Raise, before the work, what writing a table of that name would raise after it."""
    if Path(path).suffix.lower() not in ENDINGS:
        raise ValueError(f"{path}: expected a name ending in one of {', '.join(ENDINGS)}")
    check_writable(path, *others)


def check_writable(path: str, *others: str | None) -> None:
    """Raise unless the file can be created or replaced, and is none of the others."""
    if not os.path.basename(path):
        raise ValueError(f"expected the name of a file to write, got {path!r}")
    if os.path.isdir(path):
        raise IsADirectoryError(21, "Is a directory", path)
    if os.path.exists(path) and not os.path.isfile(path):
        raise ValueError(f"{path}: expected a regular file, got a pipe or a device")
    for other in others:
        if other is not None and _same_file(path, _split_key(other)[0]):
            raise ValueError(f"{path}: expected an output of its own, this would replace {other}")
    target = os.path.realpath(path)
    try:
        with suppress(FileNotFoundError):
            os.stat(target)  # such as a name that is too long
        with tempfile.TemporaryFile(dir=os.path.dirname(target)):
            pass
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error


def _same_file(a: str, b: str) -> bool:
    try:
        return os.path.samefile(a, b)
    except OSError:  # it does not exist yet
        return os.path.realpath(a) == os.path.realpath(b)


def _indices(
    columns: Sequence[str], header: Sequence[str] | None, width: int, path: str
) -> list[int]:
    found = [_index(column, header, width, path) for column in columns]
    if len(set(found)) != len(found):
        raise ValueError(f"{path}: a column is given twice: {', '.join(columns)}")
    return found


def _index(column: str, header: Sequence[str] | None, width: int, path: str) -> int:
    """The index of a column: a name of the header or a number from 0."""
    named = header.count(column) if header is not None else 0
    if header is not None and named == 1:
        return header.index(column)
    if column.isascii() and column.isdigit() and len(column) <= 9 and int(column) < width:
        return int(column)
    if named > 1:
        raise ValueError(f"{path}: {named} columns are named {column!r}: give their numbers")
    known = f"0 to {width - 1}" + (f", {', '.join(header)}" if header is not None else "")
    raise ValueError(f"{path}: no column {column[:60]!r} among {known}")


def _selected(table: Array, indices: Sequence[int]) -> Array:
    """The columns; evenly spaced ones as a view, which leaves a mapped file on disk."""
    steps = set(np.diff(indices).tolist())
    if len(steps) <= 1 and min(steps, default=1) > 0:
        return table[:, indices[0] : indices[-1] + 1 : min(steps, default=1)]
    return table[:, indices]
