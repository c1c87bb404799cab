"""What options of subcommands share: their types and the layout of help."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING, cast

from ..ensembles import Ensemble
from ..flow import Flow
from ..persist import load

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


class Help(argparse.RawDescriptionHelpFormatter):
    """Descriptions and examples keep their lines; options are wrapped."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30)


def read_flow(path: str) -> Flow:
    """The flow or ensemble in a file; ValueError for another model, which has no density."""
    model = load(path)
    if isinstance(model, Ensemble):  # it scores and samples as a flow does
        return cast(Flow, model)
    if not isinstance(model, Flow):
        raise ValueError(f"{path} is no flow, but {model!r}: it has no density and no samples")
    return model


def add_columns(parser: argparse.ArgumentParser, columns: str, context: str) -> None:
    """The options that choose columns, with what their defaults are."""
    parser.add_argument(
        "--columns",
        metavar="A,B,...",
        type=names,
        help=f"the columns to use, by name or by number from 0 (default: {columns})",
    )
    parser.add_argument(
        "--context-columns",
        metavar="C,...",
        type=names,
        help=f"the columns that the density is conditioned on (default: {context})",
    )


def add_threads(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    parser.add_argument(
        "--threads", metavar="N", type=count, help="processors to use (default: all there are)"
    )


def add_quiet(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    parser.add_argument("--quiet", action="store_true", help="show no progress")


def count(text: str) -> int:
    """An integer, 1 or more."""
    return _integer(text, 1)


def natural(text: str) -> int:
    """An integer, 0 or more."""
    return _integer(text, 0)


def positive(text: str) -> float:
    """A finite number above 0."""
    value = number(text)
    if value <= 0.0:
        raise argparse.ArgumentTypeError(f"must be above 0, got {text}")
    return value


def fraction(text: str) -> float:
    """A number from 0 to below 1."""
    value = number(text)
    if not 0.0 <= value < 1.0:
        raise argparse.ArgumentTypeError(f"must be from 0 to below 1, got {text}")
    return value


def number(text: str) -> float:
    """A finite number."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number, got {text!r}") from None
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"expected a finite number, got {text}")
    return value


def widths(text: str) -> tuple[int, ...]:
    """``"64,64"``: the widths of hidden layers."""
    return tuple(count(item) for item in text.split(","))


def numbers(text: str) -> float | list[float]:
    """One number for all columns, or one a column, with commas between them."""
    values = [number(item) for item in text.split(",")]
    return values[0] if len(values) == 1 else values


def names(text: str) -> list[str]:
    """Column names or numbers, with commas between them."""
    found = [item.strip() for item in text.split(",")]
    if not all(found):
        raise argparse.ArgumentTypeError(f"expected columns with commas between them, got {text!r}")
    return found


def _integer(text: str, minimum: int) -> int:
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected an integer, got {text!r}") from None
    if not minimum <= value < 2**63:
        raise argparse.ArgumentTypeError(f"must be from {minimum} to below 2**63, got {text}")
    return value
