"""Columns of categories: their labels become numbers where a table is read, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .arguments import listed
from .arrays import real_array

if TYPE_CHECKING:
    from . import _core

__all__ = [
    "Labels",
    "categories_of_context",
    "checked_labels",
    "decoded",
    "encoded",
    "is_number",
    "places_of",
]

Labels = tuple[tuple[str, ...] | None, ...]
"""By column: the labels of its categories, or None of a column of numbers."""


def checked_labels(what: str, labels: Any, features: int) -> Labels | None:
    """None, or a tuple of labels or None a column; ValueError for others."""
    if labels is None:
        return None
    found = tuple(None if column is None else tuple(column) for column in labels)
    if len(found) != features:
        raise ValueError(f"{what} must have {features} entries, a column each, got {found}")
    for column in found:
        if column is not None and not all(isinstance(label, str) for label in column):
            raise TypeError(f"labels of categories must be strings, got {column}")
    return found if any(found) else None


def categories_of_context(flow: _core.Flow) -> NDArray[np.bool_]:
    """By column of the context, whether it is one of categories."""
    found = np.zeros(flow.context_features, bool)
    if flow.embedding is not None and flow.embedding.categories is not None:
        found[:] = np.array(flow.embedding.categories) > 1
    return found


def encoded(
    port: str, table: Any, columns: Mapping[str, Any] | None, labels: Labels
) -> NDArray[np.float64]:
    """The numbers of a table, (n, columns), or of one row, with a category's place among the labels
    for it.

    The columns are those of the table by their names, if it has names. Numbers are a category's
    place, unless labels are numbers themselves: they are then labels. What is missing is NaN.

    Raises
    ------
    ValueError
        If a label is none of those of its column.
    """
    if columns is not None:
        return _of_columns(list(columns.values()), list(columns), labels)
    cells = np.asarray(table, object)
    if cells.ndim == 1 and port == "context" and cells.shape == (len(labels),):
        return _of_columns(list(cells[:, None]), None, labels).reshape(-1)
    if cells.ndim != 2 or cells.shape[1] != len(labels):
        raise ValueError(f"{port} must have shape (n, {len(labels)}), got {cells.shape}")
    return _of_columns(list(cells.T), None, labels)


def _of_columns(
    columns: Sequence[Any], names: Sequence[str] | None, labels: Labels
) -> NDArray[np.float64]:
    result = np.empty((len(columns[0]), len(columns)))
    for i, (column, own) in enumerate(zip(columns, labels, strict=True)):
        name = repr(names[i]) if names is not None else str(i)
        if own is not None:
            result[:, i] = _numbers(name, np.asanyarray(column), own)
            continue
        is_whole = isinstance(column, np.ma.MaskedArray) and not np.ma.is_masked(column)
        result[:, i] = real_array(f"column {name}", np.asarray(column) if is_whole else column)
    return result


def _numbers(name: str, column: NDArray[Any], labels: tuple[str, ...]) -> NDArray[np.float64]:
    places = places_of(labels)
    found = np.empty(len(column))
    for row, value in enumerate(column.tolist()):
        place = places.get(str(value) if isinstance(value, (bool, np.bool_)) else value)
        if place is None and not _is_missing(value):
            raise ValueError(
                f"column {name}, row {row}: expected one of its categories {listed(labels)}, got "
                f"{value!r}"
            )
        found[row] = np.nan if place is None else place
    return found


def places_of(labels: tuple[str, ...]) -> dict[Any, int]:
    """What to look a cell up by, text or a number, and its place."""
    places: dict[Any, int] = {label: place for place, label in enumerate(labels)}
    numbers = {float(label): place for place, label in enumerate(labels) if is_number(label)}
    return places | (numbers or {place: place for place in range(len(labels))})


def is_number(label: str) -> bool:
    """Whether a label is a number: then numbers stand for labels, not for places."""
    return label.lstrip("+-").replace(".", "", 1).isdigit()


def _is_missing(value: Any) -> bool:
    """Whether it is None, NaN or pandas' NA, which is equal to nothing."""
    return value is None or type(value).__name__ == "NAType" or value != value


def decoded(x: NDArray[Any], labels: Labels) -> list[NDArray[Any]]:
    """The columns of samples, with labels for the numbers of categories, None for NaN."""
    return [
        column if own is None else _labels_of(column, own)
        for column, own in zip(x.T, labels, strict=True)
    ]


def _labels_of(column: NDArray[Any], labels: tuple[str, ...]) -> NDArray[Any]:
    found = np.full(len(column), None, object)
    there = ~np.isnan(column)
    found[there] = np.array(labels, object)[column[there].astype(np.int64)]
    return found
