"""Options that say what the columns of a table hold: positive numbers, an interval, angles,
integers, categories."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable

from .. import columns
from . import options
from .tables import Table, column_index

_NUMBER = re.compile(r"[-+.0-9]+(e[-+]?[0-9]+)?")


def add(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what columns hold (default: any number)")
    group.add_argument(
        "--positive", metavar="A,...", type=_positive, action="append", help="numbers above 0"
    )
    group.add_argument(
        "--interval",
        metavar="A,...:LOW:HIGH",
        type=_interval,
        action="append",
        help="numbers between two bounds",
    )
    group.add_argument(
        "--count", metavar="A,...", type=_count, action="append", help="the integers 0, 1, ..."
    )
    group.add_argument(
        "--ordinal",
        metavar="A,...:LEVELS",
        type=_ordinal,
        action="append",
        help="the integers 0, 1, ..., LEVELS - 1",
    )
    group.add_argument(
        "--categorical",
        metavar="A,...[:NUMBER]",
        type=_categorical,
        action="append",
        help="categories without an order, of which the table has labels, or with NUMBER the "
        "integers 0, 1, ..., NUMBER - 1; columns of the context may be some, too",
    )
    group.add_argument(
        "--circular",
        metavar="A,...:PERIOD",
        type=_circular,
        action="append",
        help="angles, or what else begins again after a period, sampled from 0 to there; with "
        "--recipe nsf, nsf_ar or ncsf",
    )


Kinds = list[columns.Column] | None


def with_labels(arguments: argparse.Namespace) -> list[str]:
    """The columns of categories whose labels are those of the table."""
    return [name for names, column in arguments.categorical or () if not column for name in names]


def of(arguments: argparse.Namespace, table: Table) -> tuple[Kinds, Kinds]:
    """A `Column` for each feature of the table, and for each column of the context; None if no
    option says anything."""
    given = [
        (name, column)
        for option in ("positive", "interval", "count", "ordinal", "categorical", "circular")
        for names, column in getattr(arguments, option) or ()
        for name in names
    ]
    found: dict[int, columns.Column] = {}
    for name, said in given:
        index = column_index(name, table.source)
        if index not in (*table.features, *table.given):
            raise ValueError(f"{table.source.path}: column {name!r} is none of those to learn")
        column = said or _of_labels(table, index)
        if index in table.given and column.kind != "categorical":
            raise ValueError(
                f"{table.source.path}: column {name!r} is one of the context, whose columns are "
                f"any numbers or categories, got {column}"
            )
        if index in found:
            raise ValueError(
                f"{table.source.path}: what column {name!r} holds is said twice, "
                f"{found[index]} and {column}: say it once"
            )
        found[index] = column
    return _in_order(found, table.features), _in_order(found, table.given)


def _of_labels(table: Table, index: int) -> columns.Column:
    labels = table.labels[index]
    try:
        return columns.categorical(labels)
    except ValueError as error:
        raise ValueError(f"{table.source.path}: column {index + 1}: {error}") from None


def _in_order(found: dict[int, columns.Column], indices: list[int]) -> Kinds:
    """The columns of these indices, if something is said of one."""
    if not found.keys() & set(indices):
        return None
    return [found.get(index, columns.real) for index in indices]


Choice = tuple[list[str], columns.Column]


def _positive(text: str) -> Choice:
    return options.names(text), columns.positive


def _count(text: str) -> Choice:
    return options.names(text), columns.count


def _ordinal(text: str) -> Choice:
    """``"a,b:5"``"""
    return _counted(text, "COLUMN,...:LEVELS", columns.ordinal)


def _categorical(text: str) -> tuple[list[str], columns.Column | None]:
    """``"a,b:3"``, or ``"a,b"`` of columns of labels."""
    if not _NUMBER.fullmatch(text.rpartition(":")[2]) or ":" not in text:
        return options.names(text), None
    return _counted(text, "COLUMN,...:NUMBER", columns.categorical)


def _counted(text: str, form: str, column: Callable[[int], columns.Column]) -> Choice:
    names, (count,) = _split(text, 1, form)
    if not count.is_integer():
        what = form.split(":")[1].lower()
        raise argparse.ArgumentTypeError(f"{what} must be an integer, got {count:g}")
    try:
        return names, column(int(count))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _interval(text: str) -> Choice:
    """``"a,b:0:1"``"""
    names, numbers = _split(text, 2, "COLUMN,...:LOW:HIGH")
    try:
        return names, columns.interval(*numbers)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _circular(text: str) -> Choice:
    """``"a,b:360"``"""
    names, numbers = _split(text, 1, "COLUMN,...:PERIOD")
    try:
        return names, columns.circular(*numbers)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _split(text: str, count: int, form: str) -> tuple[list[str], list[float]]:
    """Columns, and ``count`` numbers behind colons."""
    names, *numbers = text.rsplit(":", count)
    if len(numbers) != count:
        raise argparse.ArgumentTypeError(f"expected {form}, got {text!r}")
    return options.names(names), [options.number(number) for number in numbers]
