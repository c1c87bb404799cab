"""``cflows log-prob``: score rows."""

from __future__ import annotations

import argparse
import sys

import numpy as np

from .. import set_num_threads
from ..data import save_table
from . import options, tables

_DESCRIPTION = """\
Score the rows of a table: the log of the model's density at each, in nats.

The output has one column, log_prob, and the table's rows in their order. A row
with NaN or infinity gets NaN. Higher is likelier; the rows with the lowest
scores are the outliers.
"""

_EPILOG = """\
example:
  cflows log-prob stars.safetensors stars.csv -o scores.csv
"""


def add(commands: options.Commands) -> None:
    parser = commands.add_parser(
        "log-prob",
        help="score the rows of a table with a model",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=options.Help,
    )
    parser.add_argument("model", metavar="MODEL", help="model that cflows fit has written")
    parser.add_argument("table", metavar="TABLE", help=tables.TABLE_HELP)
    parser.add_argument("-o", "--output", metavar="OUT", required=True, help=tables.OUTPUT_HELP)
    options.add_columns(parser)
    options.add_threads(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    tables.check_table_name(arguments.output, arguments.model, arguments.table)
    if arguments.threads is not None:
        set_num_threads(arguments.threads)
    flow = options.read_flow(arguments.model)
    table = tables.read(arguments.table, arguments.columns, arguments.context_columns)
    x, context = table.x, table.context
    log_prob = np.empty(len(x), flow.dtype)
    for rows in tables.pieces(len(x)):
        log_prob[rows] = flow.log_prob(x[rows], None if context is None else context[rows])
    if len(x) == 0:  # its columns are checked in either case
        flow.log_prob(x, context)
    save_table(arguments.output, log_prob[:, None], columns=["log_prob"])
    _report(log_prob, arguments.output)
    return 0


def _report(log_prob: np.ndarray, output: str) -> None:
    finite = np.isfinite(log_prob)
    if finite.any():
        mean = float(np.mean(log_prob[finite], dtype=np.float64))
        print(f"mean log_prob {mean:.4f} nats over {finite.sum():,} rows")
    if not finite.all():
        print(f"rows without a finite log_prob: {(~finite).sum():,}", file=sys.stderr)
    print(f"wrote {output}")
