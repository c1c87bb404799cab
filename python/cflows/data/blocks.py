"""Rows a number at a time, so that a table larger than memory passes through it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["blocks", "in_chunks", "joined", "ranges", "rows_at_once"]

Array = NDArray[Any]

_ROWS = 1 << 16
_NUMBERS = 1 << 22


def rows_at_once(width: int) -> int:
    """How many rows of that width to hold at a time; it does not depend on the file's format."""
    return max(1, min(_ROWS, _NUMBERS // max(width, 1)))


def in_chunks(rows: int, chunk: int) -> int:
    """So many rows at least, in whole chunks that are stored together."""
    return -(-rows // chunk) * chunk


def ranges(rows: int, size: int) -> Iterator[slice]:
    """Consecutive ranges of at most `size` rows; one that is empty if there are none."""
    for start in range(0, max(rows, 1), size):
        yield slice(start, min(start + size, rows))


def blocks(arrays: Iterable[Array], size: int) -> Iterator[Array]:
    """The rows of all arrays, `size` at a time; only the last block has fewer, and it has none only
    if there are none."""
    held: list[Array] = []
    count, empty = 0, True
    for array in arrays:
        while count + len(array) >= size:
            room = size - count
            yield _concatenated([*held, array[:room]])
            held, count, empty, array = [], 0, False, array[room:]
        held.append(array)
        count += len(array)
    if count > 0 or empty:
        yield _concatenated(held)


def _concatenated(arrays: list[Array]) -> Array:
    some = [array for array in arrays if len(array)] or arrays[:1]
    return some[0] if len(some) == 1 else np.concatenate(some)


def joined(arrays: Iterable[Array], rows: int | None) -> Array:
    """The arrays as one; in its memory alone if the number of their rows is known."""
    if rows is None:
        return np.concatenate(list(arrays))
    arrays = iter(arrays)
    first = next(arrays)
    whole = np.empty((rows, *first.shape[1:]), first.dtype)
    end = 0
    for array in chain([first], arrays):
        start, end = end, end + len(array)
        whole[start:end] = array
    return whole
