"""Tables of numbers as text, one row a line: writing."""

from __future__ import annotations

import csv
import gzip
import io
import os
import warnings
from collections.abc import Iterable
from itertools import chain
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from ..atomic import atomic_write
from .blocks import blocks
from .header import is_header

__all__ = ["DELIMITERS", "write_delimited"]

# The delimiter to write for each ending; when reading, the file itself decides.
DELIMITERS = {".csv": ",", ".tsv": "\t", ".txt": " ", ".dat": " "}


def write_delimited(
    path: str | os.PathLike[str], tables: Iterable[NDArray[Any]], names: list[str] | None
) -> None:
    """Write tables of shape (some, columns), one below the other, every number with digits that
    reproduce it."""
    tables = iter(tables)
    first = next(tables)
    if names is not None:
        _check_names(names, first)
    tables = chain([first], tables)
    name = os.fspath(path).lower()
    zipped = name.endswith(".gz")
    delimiter = DELIMITERS[os.path.splitext(name.removesuffix(".gz"))[1]]
    with atomic_write(path) as file:
        if zipped:
            with gzip.GzipFile(fileobj=file, mode="wb", filename="", mtime=0) as packed:
                _write(cast(IO[bytes], packed), delimiter, tables, names)
        else:
            _write(file, delimiter, tables, names)


def _write(
    file: IO[bytes], delimiter: str, tables: Iterable[NDArray[Any]], names: list[str] | None
) -> None:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    if names is not None:
        writer.writerow(names)
    # In blocks, because Python's numbers take several times the space of the table's.
    for rows in blocks(tables, 4096):
        writer.writerows(_exact(rows))
    text.detach()


def _exact(rows: NDArray[Any]) -> Any:
    return (rows if rows.dtype.kind in "iuO" else rows.astype(np.float64)).tolist()


def _check_names(names: list[str], table: NDArray[Any]) -> None:
    """Refuse names that reading would take for a row, or for none."""
    for name in names:
        if not name.strip():
            raise ValueError(f"in text, {name!r} would not be read back as a column name")
    if names and names[0].lstrip().startswith("#"):
        raise ValueError(f"in text, a line that begins with {names[0]!r} is a comment")
    rows = [[repr(cell) for cell in row] for row in _exact(table[:100])]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            header = is_header(names, rows, ".", "header")
        except ValueError:  # reading asks
            return
    if not header:
        raise ValueError(f"in text, {', '.join(names)} would be read back as a row, not as names")
