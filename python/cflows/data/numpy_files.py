"""Arrays in NumPy's own files, ``.npy`` and ``.npz``, without pickles."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..atomic import atomic_write

Array = NDArray[Any]

_NAMES = "columns"


def read_npy(path: str) -> Array:
    """The array of the file, mapped read-only."""
    with _damage_as_value_error(path):
        return np.lib.format.open_memmap(path, mode="r")


def read_npz(path: str, key: str | None) -> tuple[Array, list[str] | None]:
    """The array of the archive, or the one of that key, and the names of its columns."""
    with _damage_as_value_error(path), zipfile.ZipFile(path) as archive:
        keys = [name[:-4] for name in archive.namelist() if name.endswith(".npy")]
        array = _read_member(archive, _chosen(keys, key, path))
        names = _read_member(archive, _NAMES) if _NAMES in keys else None
    if names is None or names.dtype.kind != "U" or names.shape != array.shape[1:]:
        return array, None
    return array, names.tolist()


def write_npy(path: str | os.PathLike[str], array: Array) -> None:
    with atomic_write(path) as file:
        np.save(file, array, allow_pickle=False)


def write_npy_pieces(path: str | os.PathLike[str], pieces: Iterable[Array]) -> None:
    """Write arrays of one type, one below the other, as a single array."""
    pieces = iter(pieces)
    first = next(pieces)
    header = {**np.lib.format.header_data_from_array_1_0(first), "fortran_order": False}
    rows = 0
    with atomic_write(path) as file:
        np.lib.format.write_array_header_1_0(file, header)
        for piece in chain([first], pieces):
            file.write(np.ascontiguousarray(piece).data)
            rows += len(piece)
        file.seek(0)  # the header has room for any number
        shape = (rows, *first.shape[1:])
        np.lib.format.write_array_header_1_0(file, {**header, "shape": shape})


def write_npz(path: str | os.PathLike[str], array: Array, names: list[str] | None) -> None:
    """An archive with the array as ``data`` and its column names as ``columns``."""
    with atomic_write(path) as file:
        if names is None:
            np.savez(file, data=array)
        else:
            np.savez(file, data=array, columns=np.array(names, dtype=np.str_))


def _read_member(archive: zipfile.ZipFile, key: str) -> Array:
    with archive.open(key + ".npy") as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _chosen(keys: list[str], key: str | None, path: str) -> str:
    if key is not None:
        if key not in keys:
            raise ValueError(f"no array {key!r} among {', '.join(keys)}")
        return key
    tables = [key for key in keys if key != _NAMES]
    if not tables:
        raise ValueError("there is no array in it")
    if len(tables) > 1:
        choice = ", ".join(tables)
        raise ValueError(f"pick one of its arrays, as in {path}:{tables[0]}, from {choice}")
    return tables[0]


@contextmanager
def _damage_as_value_error(path: str) -> Iterator[None]:
    """NumPy's readers raise a dozen types of exceptions for damaged files; callers get one."""
    try:
        yield
    except (OSError, MemoryError):
        raise
    except Exception as error:
        raise ValueError(f"{path}: {error}") from error
