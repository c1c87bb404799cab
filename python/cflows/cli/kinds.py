"""Options that say what the columns of a table hold: positive numbers, an interval, angles,
integers."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from .. import columns
from . import options
from .tables import Table


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
        metavar="A,...:NUMBER",
        type=_categorical,
        action="append",
        help="the integers 0, 1, ..., NUMBER - 1 for categories without an order",
    )
    group.add_argument(
        "--circular",
        metavar="A,...:PERIOD",
        type=_circular,
        action="append",
        help="angles, or what else begins again after a period, sampled from 0 to there; with "
        "--recipe nsf, nsf_ar or ncsf",
    )


def of(arguments: argparse.Namespace, table: Table) -> list[columns.Column] | None:
    """A `Column` for each feature of the table; None if no option says anything."""
    given = [
        choice
        for name in ("positive", "interval", "count", "ordinal", "categorical", "circular")
        for choice in getattr(arguments, name) or ()
    ]
    found: dict[int, columns.Column] = {}
    for names, column in given:
        for name in names:
            index = table.feature_index(name)
            if index in found:
                raise ValueError(
                    f"{table.source.path}: what column {name!r} holds is said twice, "
                    f"{found[index]} and {column}: say it once"
                )
            found[index] = column
    if not found:
        return None
    return [found.get(index, columns.real) for index in range(len(table.features))]


Choice = tuple[list[str], columns.Column]


def _positive(text: str) -> Choice:
    return options.names(text), columns.positive


def _count(text: str) -> Choice:
    return options.names(text), columns.count


def _ordinal(text: str) -> Choice:
    """``"a,b:5"``"""
    return _counted(text, "COLUMN,...:LEVELS", columns.ordinal)


def _categorical(text: str) -> Choice:
    """``"a,b:3"``"""
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
