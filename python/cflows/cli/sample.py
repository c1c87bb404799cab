"""``cflows sample``: draw rows."""

from __future__ import annotations

import argparse
import os
import secrets

import numpy as np

from .. import set_num_threads
from ..data import save_table
from ..flow import Flow
from . import options, tables

_DESCRIPTION = """\
Draw new rows from a model. The same seed gives the same rows, on any number of
threads.

A conditional model needs a context: numbers with commas between them, for all
rows, or a table, for each of whose rows N are drawn and written one after the
other.
"""

_EPILOG = """\
examples:
  cflows sample stars.safetensors -n 1000 -o new.csv --seed 1
  cflows sample by-colour.safetensors -n 100 -o new.npy --context=-0.3,1.2
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
    parser.add_argument("-o", "--output", metavar="OUT", required=True, help=tables.OUTPUT_HELP)
    parser.add_argument(
        "--seed",
        metavar="N",
        type=options.natural,
        help="of the random numbers (default: drawn, and printed)",
    )
    parser.add_argument("--context", metavar="NUMBERS|TABLE", help="what to condition on")
    options.add_threads(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    tables.check_table_name(arguments.output, arguments.model, arguments.context)
    if arguments.threads is not None:
        set_num_threads(arguments.threads)
    flow = options.read_flow(arguments.model)
    seed = secrets.randbits(63) if arguments.seed is None else arguments.seed
    if arguments.context is None:
        rows = _rows(flow, arguments.number, seed)
    else:
        context = _context(arguments.context)
        rows = flow.sample(arguments.number, context, seed=seed).reshape(-1, flow.features)
    save_table(arguments.output, rows)
    print(f"wrote {arguments.output}: {len(rows):,} rows of {flow.features}, seed {seed}")
    return 0


def _rows(flow: Flow, number: int, seed: int) -> np.ndarray:
    flow.sample(0, seed=seed)  # report a missing context before memory is allocated
    rows = np.empty((number, flow.features), flow.dtype)
    for piece in tables.pieces(number):
        # The pieces of one seed are the samples that one call would draw.
        rows[piece] = flow.sample(piece.stop - piece.start, seed=seed, start=piece.start)
    return rows


def _context(text: str) -> np.ndarray:
    """The context given as numbers, (context_features,), or as a table, (m, context_features)."""
    try:
        return np.array([float(item) for item in text.split(",")])
    except ValueError:
        if not os.path.exists(text) and not text.endswith(tables.ENDINGS):
            raise ValueError(f"--context: neither numbers nor a table: {text}") from None
    return tables.read(text, None, None).x
