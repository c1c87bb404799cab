"""Columns of labels: numbers stand for them, as they come in a file, then as a model has them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arguments import listed
from ..categories import is_number, places_of
from .cells import MISSING
from .rows import Rows

__all__ = ["in_order", "numbered", "to_places", "with_labels"]

Array = NDArray[Any]


def numbered(values: Iterable[Any]) -> tuple[NDArray[np.float64], list[str]]:
    """A number for each value, NaN of one that is missing, and the labels they stand for."""
    known: dict[str, int] = {}
    labels = map(_label, values)
    found = [math.nan if x is None else known.setdefault(x, len(known)) for x in labels]
    return np.array(found, np.float64), list(known)


def _label(value: Any) -> str | None:
    """None of what is missing."""
    if value is None or value != value:
        return None
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    whole = isinstance(value, float) and value.is_integer()
    text = str(int(value) if whole else value).strip()
    return None if text in MISSING else text


def with_labels(rows: Rows, columns: Mapping[int, Array]) -> Rows:
    """The rows, with numbers for the labels of these columns of the file."""
    if not columns:
        return rows
    array, labels = np.array(rows.array, np.float64), dict(rows.labels)
    for column, values in columns.items():
        array[:, rows.columns.index(column)], labels[column] = numbered(values.tolist())
    return replace(rows, array=array, labels=labels)


def in_order(labels: Iterable[str]) -> tuple[str, ...]:
    """Sorted: as numbers if all are."""
    found = list(labels)
    return tuple(sorted(found, key=float if all(map(is_number, found)) else None))


def to_places(rows: Rows, known: Mapping[int, tuple[str, ...]], path: str) -> Rows:
    """The rows with the places of labels among those known, by column of the file.

    Raises
    ------
    ValueError
        If a label is none of those; it tells the first row that has it.
    """
    array = rows.array
    for column, labels in known.items():
        if column not in rows.labels:
            continue
        array = np.array(array, np.float64) if array is rows.array else array
        index, places = rows.columns.index(column), places_of(labels)
        found = [_place(label, places) for label in rows.labels[column]]
        numbers = array[:, index]
        if None in found:
            unknown = found.index(None)
            first = int(np.flatnonzero(numbers == unknown)[0])
            raise ValueError(
                f"{path}, {rows.place(first)}: {rows.column(index)}: expected one of its "
                f"categories {listed(labels)}, got {rows.labels[column][unknown]!r}"
            )
        there = ~np.isnan(numbers)
        numbers[there] = np.array(found, np.float64)[numbers[there].astype(np.int64)]
    return replace(rows, array=array)


def _place(label: str, places: Mapping[Any, int]) -> int | None:
    if label in places:
        return places[label]
    return places.get(float(label)) if is_number(label) else None
