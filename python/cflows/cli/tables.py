"""Tables that subcommands read: the columns to learn and those of the context."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from ..arguments import listed, near
from ..data.array_source import selected
from ..data.blocks import blocks, rows_at_once
from ..data.dialect import Header
from ..data.labels import in_order, to_places
from ..data.rows import Missing, Source, treat_missing, treated, without_row_numbers
from ..data.sources import ENDINGS, open_source
from ..data_warnings import DataWarning

Array = NDArray[Any]
Labels = dict[int, tuple[str, ...]]
"""By column of the file, the labels of its categories."""

TABLE_HELP = (
    f"table of numbers, {', '.join(ENDINGS)}; of several in a file one, as in file.npz:key, "
    "file.h5:name or file.fits:extension"
)
_HEADERS: dict[str, Header] = {"auto": "auto", "yes": True, "no": False}


@dataclass(frozen=True)
class Table:
    """The rows of a file, (n, features), and their context, (n, context_features), if any."""

    x: Array
    context: Array | None
    features: list[int]  # the indices of x's columns in the file
    given: list[int]  # and of those of the context
    source: Source
    place: Callable[[int], str]  # where a row is in the file
    labels: Labels  # of columns of the file whose numbers are their places

    def names(self, columns: Sequence[int]) -> list[str] | None:
        """The names of columns of the file; None, and a warning, unless each has one of its own."""
        if self.source.names is None:
            return None
        names = [self.source.names[i] for i in columns]
        several = [name for name in names if names.count(name) > 1]
        if several:
            warnings.warn(
                f"{self.source.path}: several columns are named {several[0]!r}: the model "
                "keeps no names, and its columns go by position",
                DataWarning,
                stacklevel=2,
            )
        return None if several else names

    def cell(self, row: int, column: int) -> str:
        """Where a number is, of a row of the table and a column of the file."""
        name = "" if self.source.names is None else f" ({self.source.names[column]})"
        return f"{self.source.path}, {self.place(row)}: column {column + 1}{name}"


# What is done with rows that have an empty cell, NA, NaN or the like.
_MISSING = {
    "error": "refuse them",
    "drop": "leave them out",
    "nan": "keep NaN",
    "marginal": "go by their other numbers",
}


def add_reading(parser: argparse.ArgumentParser, *missing: str) -> None:
    """The options that say how a table is written; `missing` are the ways to treat such rows."""
    ways = ", ".join(f"{way}: {_MISSING[way]}" for way in missing)
    parser.add_argument(
        "--missing",
        choices=missing,
        default="error",
        help=f"rows with an empty cell, NA, NaN or the like; {ways} (default: error)",
    )
    parser.add_argument(
        "--header",
        choices=list(_HEADERS),
        default="auto",
        help="whether the first line of text names the columns (default: auto)",
    )
    parser.add_argument(
        "--decimal",
        choices=["auto", ".", ","],
        default="auto",
        help="the decimal point of text (default: auto)",
    )


def opened(path: str, arguments: argparse.Namespace) -> Source:
    """The table of a file, written as the options say."""
    return open_source(path, _HEADERS[arguments.header], arguments.decimal)


def read(
    source: Source,
    columns: Sequence[str] | None,
    context_columns: Sequence[str] | None,
    label_columns: Sequence[str],
    missing: Missing,
) -> Table:
    """Read columns of a file; without ``columns``, all but the context's. An ``.npy`` file stays on
    disk."""
    context = indices(context_columns or (), source)
    wanted = indices(label_columns, source)
    if columns is None:
        rows = source.read(None, wanted)
        if 0 not in context:
            rows = without_row_numbers(rows, source.path)
        features = [i for i in rows.columns if i not in context]
    else:
        features = indices(columns, source)
        chosen = {*features, *context}
        rows = source.read(sorted(chosen), chosen.intersection(wanted))
    both = [source.names[i] if source.names else str(i) for i in features if i in context]
    if both:
        raise ValueError(
            f"{source.path}: {', '.join(both)} cannot be learned and be the context too: give "
            "columns to --columns or to --context-columns"
        )
    if not features and context:
        raise ValueError(f"{source.path}: all columns are context, there is none to learn")
    labels = {i: in_order(found) for i, found in rows.labels.items()}
    rows = to_places(treat_missing(rows, missing, source.path), labels, source.path)
    x, given = _divided(rows.array, rows.columns, features, context)
    return Table(x, given, features, context, source, rows.place, labels)


def pieces(
    source: Source, features: list[int], context: list[int], labels: Labels, missing: Missing
) -> Iterator[tuple[Array, Array | None]]:
    """The columns of these indices and those of the context, some rows at a time, with the places
    of labels for them; at least once."""
    columns = sorted({*features, *context})
    found = treated(source.pieces(columns, labels), missing, source.path)
    placed = (to_places(rows, labels, source.path) for rows in found)
    for array in blocks((rows.array for rows in placed), rows_at_once(len(columns))):
        yield _divided(array, columns, features, context)


def _divided(
    array: Array, columns: list[int], features: list[int], context: list[int]
) -> tuple[Array, Array | None]:
    """An array of these columns of the file, with the columns of the context apart."""
    flat = array.reshape(len(array), len(columns))
    x = selected(flat, [columns.index(i) for i in features])
    return x, selected(flat, [columns.index(i) for i in context]) if context else None


def indices(columns: Sequence[str], source: Source) -> list[int]:
    """The indices of different columns, named or numbered from 0."""
    found = [column_index(column, source) for column in columns]
    if len(set(found)) != len(found):
        raise ValueError(
            f"{source.path}: expected different columns, got one twice in {', '.join(columns)}"
        )
    return found


def column_index(column: str, source: Source) -> int:
    """The index of a column: a name of the header or a number from 0."""
    header, width = source.names or [], source.width
    if header.count(column) == 1:
        return header.index(column)
    if column.isascii() and column.isdigit() and len(column) <= 9 and int(column) < width:
        return int(column)
    if column in header:
        count = header.count(column)
        raise ValueError(f"{source.path}: {count} columns are named {column!r}: give their numbers")
    known = listed([f"0 to {width - 1}", *header])
    raise ValueError(
        f"{source.path}: no column {column[:60]!r} among {known}{near(column[:60], header)}"
    )
