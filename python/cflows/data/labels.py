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

__all__ = ["Numbers", "in_order", "labels_of", "numbered", "to_places"]

Numbers = dict[int, dict[str, int]]
"""By column of the file, what stands for each label, in the order in which they came."""


def labels_of(numbers: Numbers) -> dict[int, list[str]]:
    """As `Rows` has them."""
    return {column: list(known) for column, known in numbers.items()}


def numbered(values: Iterable[Any], known: dict[str, int]) -> NDArray[np.float64]:
    """A number for each value, NaN of one that is missing; `known` are the labels that they stand
    for, which grow."""
    labels = map(_label, values)
    found = [math.nan if x is None else known.setdefault(x, len(known)) for x in labels]
    return np.array(found, np.float64)


def _label(value: Any) -> str | None:
    """None of what is missing."""
    if value is None or value != value:
        return None
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    whole = isinstance(value, float) and value.is_integer()
    text = str(int(value) if whole else value).strip()
    return None if text in MISSING else text


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
