"""Tables of numbers as text, one row a line."""

from __future__ import annotations

import csv
import io
import os
import re
from array import array
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..atomic import atomic_write

# The delimiter to write for each ending; when reading, the file itself decides.
DELIMITERS = {".csv": ",", ".tsv": "\t"}
_RECOGNISED = (",", "\t", ";")


def read_delimited(path: str) -> tuple[NDArray[np.float64], list[str] | None]:
    """The numbers of the file, shape (n, columns), and the names in its header, if it has one."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=_delimiter(path), strict=True)
        try:
            return _numbers(row for row in reader if not _blank(row))
        except UnicodeDecodeError as error:
            raise ValueError(f"{path}: expected text in UTF-8: {error}") from error
        except (ValueError, csv.Error) as error:
            raise ValueError(f"{path}, line {reader.line_num}: {error}") from error


def write_delimited(
    path: str | os.PathLike[str], table: NDArray[Any], names: list[str] | None
) -> None:
    """Write a table of shape (n, columns), every number with digits that reproduce it."""
    if table.ndim != 2:
        raise ValueError(f"text holds a table of rows and columns, got shape {table.shape}")
    for name in names or ():
        if _is_number(name) or not name.strip():
            raise ValueError(f"in text, {name!r} would not be read back as a column name")
    with atomic_write(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        delimiter = DELIMITERS[Path(path).suffix.lower()]
        writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
        if names is not None:
            writer.writerow(names)
        # In blocks, because Python's numbers take several times the space of the table's.
        for start in range(0, len(table), 4096):
            rows = table[start : start + 4096]
            exact = rows if rows.dtype.kind in "iu" else rows.astype(np.float64)
            writer.writerows(exact.tolist())
        text.detach()


def _delimiter(path: str) -> str:
    """The most frequent delimiter outside quotes in the first line."""
    with open(path, encoding="utf-8", errors="replace", newline="") as file:
        line = next((line for line in file if line.strip()), "")
    unquoted = re.sub(r'"[^"]*("|$)', "", line)
    return max(_RECOGNISED, key=unquoted.count)


def _blank(row: list[str]) -> bool:
    return len(row) == 0 or (len(row) == 1 and not row[0].strip())


def _numbers(rows: Iterable[list[str]]) -> tuple[NDArray[np.float64], list[str] | None]:
    rows = iter(rows)
    first = next(rows, None)
    if first is None:
        raise ValueError("expected a table, the file is empty")
    names = None if any(map(_is_number, first)) else [name.strip() for name in first]
    # A packed array grows without an object for every number.
    values = array("d")
    for row in rows if names is not None else chain([first], rows):
        if len(row) != len(first):
            raise ValueError(f"expected {len(first)} cells, got {len(row)}")
        try:
            values.extend(map(float, row))
        except ValueError:
            raise ValueError(_complaint(row, names)) from None
    return np.asarray(values, dtype=np.float64).reshape(-1, len(first)), names


def _complaint(row: list[str], names: list[str] | None) -> str:
    column, cell = next((i, cell) for i, cell in enumerate(row) if not _is_number(cell))
    name = f" ({names[column]})" if names is not None else ""
    return f"column {column + 1}{name}: expected a number, got {cell[:40]!r}"


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
