"""Tables in FITS, by astropy."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..atomic import atomic_write
from .blocks import ranges, rows_at_once
from .column_source import ColumnSource, Field, without_mask
from .extras import library

__all__ = ["open_fits", "write_fits"]

Array = NDArray[Any]

_AT_ONCE = 4  # times as many rows as others read: a slice costs a millisecond by itself


def open_fits(path: str, key: str | None) -> ColumnSource:
    """The first table of a file, or that of the extension of this name or number.

    Masked numbers are missing, vectors are a column a component.
    """
    fits = library("astropy.io.fits", path)
    library("astropy.table", path)
    with open(path, "rb"):
        pass  # raises OSError with the name
    with _errors_of(path), fits.open(path) as file:
        found = [i for i, unit in enumerate(file) if isinstance(unit, _kinds(fits))]
        names = [file[i].name or str(i) for i in found]
        chosen = _chosen(names, found, key)
        length = len(file[chosen].data)
        first = _table(path, file[chosen], slice(0, 1))
    fields = [Field(name, _size(first[name])) for name in first.colnames]

    def parts(wanted: list[int]) -> Iterator[list[Array]]:
        with _errors_of(path), fits.open(path) as file:
            for rows in ranges(length, _AT_ONCE * rows_at_once(sum(f.size for f in fields))):
                table = _table(path, file[chosen], rows)
                yield [_flat(without_mask(table[fields[i].name]), fields[i].size) for i in wanted]

    return ColumnSource(path, fields, length, parts, marked=True)


@contextmanager
def _errors_of(path: str) -> Iterator[None]:
    """Errors of the file as ValueError with its name."""
    try:
        yield
    except (OSError, TypeError, KeyError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error


def _table(path: str, unit: Any, rows: slice) -> Any:
    """Some rows of an extension, which is mapped; only they are converted."""
    if len(unit.data) > 0:
        unit = type(unit)(unit.data[rows], unit.header)
    return library("astropy.table", path).Table.read(unit, format="fits")


def _size(column: Any) -> int:
    return 1 if column.ndim == 1 else int(np.prod(column.shape[1:]))


def _kinds(fits: Any) -> tuple[type, ...]:
    return fits.BinTableHDU, fits.TableHDU


def _chosen(names: list[str], numbers: list[int], key: str | None) -> int:
    if not numbers:
        raise ValueError("there is no table in it")
    if key is None:
        if len(numbers) > 1:
            raise ValueError(f"pick one of its tables, as in file.fits:{names[0]}, from {names}")
        return numbers[0]
    if key.isdigit() and int(key) in numbers:
        return int(key)
    same = [n for n, name in zip(numbers, names, strict=True) if name.lower() == key.lower()]
    if len(same) != 1:
        raise ValueError(f"{len(same)} tables {key!r} among {', '.join(names)}")
    return same[0]


def _flat(values: Array, size: int) -> Array:
    return values if size == 1 and values.ndim == 1 else values.reshape(len(values), size)


def write_fits(path: str | os.PathLike[str], table: Array, names: list[str] | None) -> None:
    """Write a table of shape (n, columns); without names they are 0, 1, ..."""
    fits = library("astropy.io.fits", os.fspath(path))
    columns = library("astropy.table", os.fspath(path)).Table(
        [column if column.dtype != object else np.array(column.tolist()) for column in table.T],
        names=names or [str(i) for i in range(table.shape[1])],
    )
    memory = io.BytesIO()  # astropy does not know the modes of all files
    fits.table_to_hdu(columns).writeto(memory)
    with atomic_write(path) as file:
        file.write(memory.getbuffer())
