"""Tables in FITS, by astropy."""

from __future__ import annotations

import io
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..atomic import atomic_write
from .column_source import ColumnSource, Field, without_mask
from .extras import library

__all__ = ["open_fits", "write_fits"]


def open_fits(path: str, key: str | None) -> ColumnSource:
    """The first table of a file, or that of the extension of this name or number.

    Masked numbers are missing, vectors are a column a component.
    """
    fits = library("astropy.io.fits", path)
    tables = library("astropy.table", path)
    with open(path, "rb"):
        pass  # raises OSError with the name
    try:
        with fits.open(path) as file:
            found = [i for i, unit in enumerate(file) if isinstance(unit, _kinds(fits))]
            names = [file[i].name or str(i) for i in found]
            chosen = _chosen(names, found, key)
            table = tables.Table.read(file[chosen], format="fits")
    except (OSError, TypeError, KeyError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error

    def field(name: str) -> Field:
        column = table[name]
        size = 1 if column.ndim == 1 else int(np.prod(column.shape[1:]))
        return Field(name, size, lambda: _flat(without_mask(column), size))

    return ColumnSource(path, [field(name) for name in table.colnames], len(table), marked=True)


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


def _flat(values: NDArray[Any], size: int) -> NDArray[Any]:
    return values if size == 1 and values.ndim == 1 else values.reshape(len(values), size)


def write_fits(path: str | os.PathLike[str], table: NDArray[Any], names: list[str] | None) -> None:
    """Write a table of shape (n, columns); without names they are 0, 1, ..."""
    fits = library("astropy.io.fits", os.fspath(path))
    columns = library("astropy.table", os.fspath(path)).Table(
        list(table.T), names=names or [str(i) for i in range(table.shape[1])]
    )
    memory = io.BytesIO()  # astropy does not know the modes of all files
    fits.table_to_hdu(columns).writeto(memory)
    with atomic_write(path) as file:
        file.write(memory.getbuffer())
