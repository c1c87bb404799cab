"""Tables matched to models: by the names of columns, or else by position."""

from __future__ import annotations

from collections.abc import Sequence

from .. import categories
from ..arguments import listed, near
from ..data.rows import Source, columns_without_row_numbers
from ..flow import Flow
from . import tables


def match(
    flow: Flow,
    source: Source,
    columns: Sequence[str] | None,
    context_columns: Sequence[str] | None,
) -> tuple[list[int], list[int]]:
    """The indices of the columns that a flow learned, and of its context's: those told, or of the
    same names, or all by position."""
    features = _told_or_named(columns, flow.columns, source)
    context = _told_or_named(context_columns, flow.context_columns, source)
    if context is None and flow.context_features > 0:
        raise ValueError(
            f"{source.path}: the model has a context of {flow.context_features} columns: name them "
            "with --context-columns"
        )
    context = context or []
    return _by_position(flow, source, context) if features is None else features, context


def match_context(flow: Flow, source: Source) -> list[int]:
    """The indices of the columns of the context in a table, by names or else by position."""
    context = _told_or_named(None, flow.context_columns, source)
    return columns_without_row_numbers(source) if context is None else context


def labels_of(flow: Flow, features: list[int], context: list[int]) -> tables.Labels:
    """By column of the file, the labels of those that the model has as labels."""
    return _labels(flow.categories, features) | _labels(flow.context_categories, context)


def _labels(known: categories.Labels | None, columns: list[int]) -> tables.Labels:
    pairs = zip(columns, known or (), strict=False)
    return {column: labels for column, labels in pairs if labels is not None}


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


def _by_position(flow: Flow, source: Source, context: list[int]) -> list[int]:
    """All columns beside the context."""
    everything = 0 in context
    columns = list(range(source.width)) if everything else columns_without_row_numbers(source)
    features = [i for i in columns if i not in context]
    if len(features) != flow.features:
        beside = " beside the context" if context else ""
        raise ValueError(
            f"{source.path}: expected {flow.features} columns{beside}, as the model learned, got "
            f"{len(features)}: --columns says which to take, in the model's order"
        )
    return features
