"""``cflows log-prob``: score rows."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import set_num_threads
from ..data import save_table
from ..data.rows import Missing, Source
from ..flow import Flow
from . import options, outputs, tables, work
from .matching import labels_of, match

Array = NDArray[Any]

_DESCRIPTION = """\
Score the rows of a table: the log of the model's density at each, in nats.

Columns are matched to the model by their names, in any order and with others
beside; the context's are too. A table or a model without names goes by
position: then the numbers of columns must be equal, and --context-columns must
say what the context is.

The output has one column, log_prob, and the table's rows in their order. A row
with NaN or infinity, or that lacks a number (--missing drop), gets NaN. Higher
is likelier; the rows with the lowest scores are the outliers. The table may be
larger than memory.
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
    parser.add_argument("-o", "--output", metavar="OUT", required=True, help=outputs.OUTPUT_HELP)
    options.add_columns(parser, "the model's", "the model's")
    tables.add_reading(parser, "error", "drop", "nan", "marginal")
    options.add_threads(parser)
    options.add_quiet(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    outputs.check_table_name(arguments.output, arguments.model, arguments.table)
    if arguments.threads is not None:
        set_num_threads(arguments.threads)
    flow = options.read_flow(arguments.model)
    if arguments.missing == "marginal" and not isinstance(flow, Flow):
        raise ValueError(
            f"--missing marginal is for flows, and {arguments.model} is an ensemble of flows"
        )
    log_prob = _scores(flow, tables.opened(arguments.table, arguments), arguments)
    save_table(arguments.output, log_prob[:, None], columns=["log_prob"])
    _report(log_prob, arguments.output)
    return 0


def _scores(flow: Flow, source: Source, arguments: argparse.Namespace) -> Array:
    """The log-density at each row of a table, of which some are in memory at a time."""
    # Rows to drop stay, and score NaN: scores stand beside the rows of the table.
    missing: Missing = "error" if arguments.missing == "error" else "nan"
    with work.reading(source, arguments.quiet):
        features, given = match(flow, source, arguments.columns, arguments.context_columns)
        labels = labels_of(flow, features, given)
    scores: list[Array] = []
    with work.working("scoring", source, arguments.quiet) as progress:
        for x, context in tables.pieces(source, features, given, labels, missing):
            progress.expect(progress.rows + len(x))
            if arguments.missing == "marginal":
                scores.append(flow.marginal_log_prob(x, context, seed=0))
            else:
                scores.append(flow.log_prob(x, context, start=progress.rows))
            progress.add(len(x))
    return np.concatenate(scores).astype(flow.dtype, copy=False)


def _report(log_prob: Array, output: str) -> None:
    finite = np.isfinite(log_prob)
    if finite.any():
        mean = float(np.mean(log_prob[finite], dtype=np.float64))
        print(f"mean log_prob {mean:.4f} nats over {finite.sum():,} rows")
    if not finite.all():
        print(f"rows without a finite log_prob: {(~finite).sum():,}", file=sys.stderr)
    print(f"wrote {output}")
