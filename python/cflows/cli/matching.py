"""Tables matched to models: by the names of columns, or else by position."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..arguments import listed, near
from ..categories import Labels
from ..data.labels import to_places
from ..data.rows import Missing, Rows, Source, treat_missing, without_row_numbers
from ..flow import Flow
from . import tables
from .tables import Table


def read_for(
    flow: Flow,
    source: Source,
    columns: Sequence[str] | None,
    context_columns: Sequence[str] | None,
    missing: Missing,
) -> Table:
    """The columns that a flow learned: those told, or of the same names, or all by position."""
    features = _told_or_named(columns, flow.columns, source)
    context = _told_or_named(context_columns, flow.context_columns, source)
    if context is None and flow.context_features > 0:
        raise ValueError(
            f"{source.path}: the model has a context of {flow.context_features} columns: name them "
            "with --context-columns"
        )
    context = context or []
    if features is None:
        return _by_position(flow, source, context, missing)
    labels = _labels(flow.categories, features) | _labels(flow.context_categories, context)
    rows = _read(source, sorted({*features, *context}), labels, missing)
    return tables.divided(rows, features, context, source, labels)


def read_context(flow: Flow, source: Source, missing: Missing) -> NDArray[np.generic]:
    """The context in a table, by names or else by position."""
    context = _told_or_named(None, flow.context_columns, source)
    everything = list(range(source.width))
    labels = _labels(flow.context_categories, everything if context is None else context)
    if context is None:
        rows = _read(source, None, labels, missing)
        return rows.array.reshape(len(rows.array), len(rows.columns))
    rows = _read(source, sorted(context), labels, missing)
    return tables.divided(rows, context, [], source, labels).x


def _told_or_named(
    told: Sequence[str] | None, known: Sequence[str] | None, source: Source
) -> list[int] | None:
    """The indices of columns: those told, or those known; None if there are names on one side
    alone."""
    if told is not None:
        return tables.indices(told, source)
    if known is None or source.names is None:
        return None
    names = source.names
    missing = [name for name in known if name not in names]
    if missing:
        lacking, meant = listed(map(repr, missing)), near(missing[0], names)
        raise ValueError(
            f"{source.path}: the model learned {listed(known)}; no column {lacking} among "
            f"{listed(names)}{meant or ';'} --columns and --context-columns say which to take"
        )
    several = [name for name in known if names.count(name) > 1]
    if several:
        raise ValueError(
            f"{source.path}: several columns are named {several[0]!r}: --columns and "
            "--context-columns say by number which to take"
        )
    return [names.index(name) for name in known]


def _labels(categories: Labels | None, columns: Sequence[int]) -> dict[int, tuple[str, ...]]:
    """By column of the file, the labels of those that the model has as labels."""
    pairs = zip(columns, categories or (), strict=False)
    return {column: labels for column, labels in pairs if labels is not None}


def _read(
    source: Source,
    columns: list[int] | None,
    labels: dict[int, tuple[str, ...]],
    missing: Missing,
) -> Rows:
    """The columns, or all but row numbers, with the places of labels for them."""
    rows = source.read(columns, labels)
    if columns is None:
        rows = without_row_numbers(rows, source.path)
    return to_places(treat_missing(rows, missing, source.path), labels, source.path)


def _by_position(flow: Flow, source: Source, context: list[int], missing: Missing) -> Table:
    rest = [i for i in range(source.width) if i not in context]
    own = rest if len(rest) == flow.features else []  # else row numbers are among them
    labels = _labels(flow.categories, own) | _labels(flow.context_categories, context)
    rows = source.read(None, labels)
    rows = rows if 0 in context else without_row_numbers(rows, source.path)
    features = [i for i in rows.columns if i not in context]
    if len(features) != flow.features:
        beside = " beside the context" if context else ""
        raise ValueError(
            f"{source.path}: expected {flow.features} columns{beside}, as the model learned, got "
            f"{len(features)}: --columns says which to take, in the model's order"
        )
    rows = to_places(treat_missing(rows, missing, source.path), labels, source.path)
    return tables.divided(rows, features, context, source, labels)
