"""``cflows sample``: draw rows."""

from __future__ import annotations

import argparse
import secrets
import sys

import numpy as np

from .. import set_num_threads
from ..data import save_table
from ..data.sources import ENDINGS, split_key
from ..flow import Flow
from ..names import by_name
from . import options, outputs, tables
from .matching import read_context

_DESCRIPTION = """\
Draw new rows from a model. The same seed gives the same rows, on any number of
threads.

A conditional model needs a context: numbers with commas between them, with
names if you like, for all rows, or a table, for each of whose rows N are drawn
and written one after the other. Its columns are found by the names that the
model knows, or else by position.
"""

_EPILOG = """\
examples:
  cflows sample stars.safetensors -n 1000 -o new.csv --seed 1
  cflows sample by-colour.safetensors -n 100 -o new.npy --context=-0.3,1.2
  cflows sample by-colour.safetensors -n 100 -o new.csv --context colour=1.2
  cflows sample by-colour.safetensors -n 5 -o new.npy --context colours.csv
"""


def add(commands: options.Commands) -> None:
    parser = commands.add_parser(
        "sample",
        help="draw new rows from a model",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=options.Help,
    )
    parser.add_argument("model", metavar="MODEL", help="model that cflows fit has written")
    parser.add_argument(
        "-n",
        "--number",
        metavar="N",
        type=options.natural,
        required=True,
        help="how many rows, for each row of the context if there is one",
    )
    parser.add_argument("-o", "--output", metavar="OUT", required=True, help=outputs.OUTPUT_HELP)
    parser.add_argument(
        "--seed",
        metavar="N",
        type=options.natural,
        help="of the random numbers (default: drawn, and printed)",
    )
    parser.add_argument("--context", metavar="NUMBERS|TABLE", help="what to condition on")
    tables.add_reading(parser, "error", "drop", "nan")
    options.add_threads(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    outputs.check_table_name(arguments.output, arguments.model, arguments.context)
    if arguments.threads is not None:
        set_num_threads(arguments.threads)
    flow = options.read_flow(arguments.model)
    seed = secrets.randbits(63) if arguments.seed is None else arguments.seed
    if arguments.context is None:
        if flow.context_features > 0:
            raise ValueError(f"the model needs {_wanted(flow)}: give it with --context")
        rows = _rows(flow, arguments.number, seed)
    else:
        context = _context(flow, arguments.context, arguments)
        rows = flow.sample(arguments.number, context, seed=seed).reshape(-1, flow.features)
    save_table(arguments.output, rows, flow.columns)
    print(f"wrote {arguments.output}: {len(rows):,} rows of {flow.features}, seed {seed}")
    return 0


def _rows(flow: Flow, number: int, seed: int) -> np.ndarray:
    most = sys.maxsize // (8 * flow.features)
    if number > most:
        raise ValueError(f"--number must be at most {most}, got {number}")
    rows = np.empty((number, flow.features), flow.sample(0).dtype)  # float64 where it must be
    for piece in outputs.pieces(number):
        # The pieces of one seed are the samples that one call would draw.
        rows[piece] = flow.sample(piece.stop - piece.start, seed=seed, start=piece.start)
    return rows


def _context(flow: Flow, text: str, arguments: argparse.Namespace) -> np.ndarray:
    """The context given as numbers, (context_features,), or as a table, (m, context_features)."""
    if flow.context_features == 0:
        raise ValueError(f"--context: the model takes no context, got {text!r}")
    if split_key(text)[0].lower().endswith(ENDINGS):
        return read_context(flow, tables.opened(text, arguments), arguments.missing)
    if "=" in text:
        return _named(flow, text)
    items = [item.strip() for item in text.split(",")]
    if len(items) != flow.context_features:
        raise ValueError(f"--context: expected {_wanted(flow)}, or a table, got {text!r}")
    return _numbers(flow, items)


def _numbers(flow: Flow, items: list[str]) -> np.ndarray:
    """The context of numbers and labels as they are written, one for each column."""
    labels = flow.context_categories or (None,) * len(items)
    try:
        row = [float(x) if own is None else x for x, own in zip(items, labels, strict=True)]
        found = np.asarray(by_name(flow, "context", row), np.float64)
        if not np.isfinite(found).all():
            raise ValueError(f"all must be finite, got {', '.join(items)}")
        return found
    except ValueError as error:
        raise ValueError(f"--context: expected {_wanted(flow)}, or a table: {error}") from None


def _wanted(flow: Flow) -> str:
    """The context of a model, in words."""
    count, names = flow.context_features, flow.context_columns
    noun = "number" if flow.context_categories is None else "value"
    said = f"a context of {count} {noun}{'' if count == 1 else 's'}"
    return said if names is None else f"{said} ({', '.join(names)})"


def _named(flow: Flow, text: str) -> np.ndarray:
    """The context of ``"a=1,b=2"``, in the model's order."""
    known = flow.context_columns
    if known is None:
        raise ValueError("--context: the model has no names for its context: give numbers alone")
    pairs = [item.partition("=") for item in text.split(",")]
    given = {name.strip(): number for name, _, number in pairs}
    if len(given) != len(pairs) or given.keys() != set(known):
        raise ValueError(f"--context: expected each of {', '.join(known)} once, got {text}")
    return _numbers(flow, [given[name].strip() for name in known])
