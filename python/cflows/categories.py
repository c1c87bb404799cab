"""Columns of categories: their labels become numbers where a table is read, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arrays import real_array

__all__ = ["Labels", "checked_labels", "decoded", "encoded"]

Labels = tuple[tuple[str, ...] | None, ...]
"""By column: the labels of its categories, or None of a column of numbers."""


def checked_labels(labels: Any, features: int) -> Labels | None:
    """None, or a tuple of labels or None a column; ValueError for others."""
    if labels is None:
        return None
    found = tuple(None if column is None else tuple(column) for column in labels)
    if len(found) != features:
        raise ValueError(f"categories must have {features} entries, a column each, got {found}")
    for column in found:
        if column is not None and not all(isinstance(label, str) for label in column):
            raise TypeError(f"labels of categories must be strings, got {column}")
    return found if any(found) else None


def encoded(table: Any, names: Sequence[str] | None, labels: Labels) -> NDArray[np.float64]:
    """The numbers of a table, (n, columns), with a category's place among the labels for it.

    Numbers are a category's place, unless labels are numbers themselves: they are then labels.

    Raises
    ------
    ValueError
        If a label is none of those of its column.
    """
    if names is None:
        cells = np.asarray(table, object)
        if cells.ndim != 2 or cells.shape[1] != len(labels):
            raise ValueError(f"x must have shape (n, {len(labels)}), got {cells.shape}")
        columns = list(cells.T)
    else:
        columns = [np.asarray(table[name]) for name in names]
    result = np.empty((len(columns[0]), len(columns)))
    for i, (column, own) in enumerate(zip(columns, labels, strict=True)):
        name = repr(names[i]) if names is not None else str(i)
        result[:, i] = _numbers(name, column, own)
    return result


def _numbers(name: str, column: NDArray[Any], labels: tuple[str, ...] | None) -> NDArray[Any]:
    if labels is None:
        return real_array(f"column {name}", column)
    places: dict[Any, int] = {label: place for place, label in enumerate(labels)}
    if not _are_numbers(labels):
        places |= {place: place for place in range(len(labels))}
    found = np.empty(len(column))
    for row, value in enumerate(column.tolist()):
        place = places.get(_key(value, labels))
        if place is None:
            known = ", ".join(labels[:12]) + (", …" if len(labels) > 12 else "")
            raise ValueError(
                f"column {name}, row {row}: expected one of its categories {known}, got {value!r}"
            )
        found[row] = place
    return found


def _are_numbers(labels: tuple[str, ...]) -> bool:
    """Whether a label is a number itself: numbers then stand for labels, not for places."""
    return any(label.lstrip("+-").replace(".", "", 1).isdigit() for label in labels)


def _key(value: Any, labels: tuple[str, ...]) -> Any:
    """What to look a cell up by: text, or a place."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, (bool, float, int)) and (isinstance(value, bool) or _are_numbers(labels)):
        whole = isinstance(value, float) and value.is_integer()
        return str(int(value) if whole and str(value) not in labels else value)
    return value


def decoded(x: NDArray[Any], labels: Labels) -> list[NDArray[Any]]:
    """The columns of samples, with labels for the numbers of categories."""
    return [
        column if own is None else np.array(own, object)[column.astype(np.int64)]
        for column, own in zip(x.T, labels, strict=True)
    ]
