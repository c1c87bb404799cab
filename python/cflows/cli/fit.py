"""``cflows fit``: learn a model from a table."""

from __future__ import annotations

import argparse
import os
import time
from datetime import datetime, timezone

import numpy as np

from .. import Adam, Flow, NumericalError, _core, set_num_threads
from ..data.rows import Missing
from ..history import History
from . import domains, kinds, options, outputs, tables, work
from .recipes import RECIPES, build
from .status import INTERRUPTED, summary

_DESCRIPTION = """\
Learn the density of the rows of a table with a flow, and write it to a file.

Rows are independent samples, columns are features; every value must be finite.
Columns of positive numbers, of numbers between bounds, of angles and of whole
numbers (--count, --ordinal, --categorical: the score is then a lower bound)
are learned as such if they are named. Rounded numbers need --jitter and the
step between two, for their density is unbounded: fresh noise is added in every
epoch.

Some of the rows are held out to see when to stop; the weights that do best on
them are kept. Ctrl-C stops early, writes the model as it is and exits with 130.
"""

_EPILOG = """\
examples:
  cflows fit stars.csv -o stars.safetensors
  cflows fit stars.csv -o by-colour.safetensors --context-columns colour
  cflows fit stars.csv -o stars.safetensors --recipe maf --positive mass,radius
  cflows fit wind.csv -o wind.safetensors --recipe nsf --circular angle:360
  cflows fit stars.csv -o stars.safetensors --categorical type
  cflows fit counts.npy -o counts.safetensors --count 0,1,2 --hidden 128,128
  cflows fit large.npy -o large.safetensors --checkpoint large.checkpoint
  cflows fit large.npy -o large.safetensors --resume large.checkpoint
"""


def add(commands: options.Commands) -> None:
    parser = commands.add_parser(
        "fit",
        help="learn a model from a table",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=options.Help,
    )
    parser.add_argument("table", metavar="TABLE", help=tables.TABLE_HELP)
    parser.add_argument(
        "-o", "--output", metavar="MODEL", required=True, help="file to write (.safetensors)"
    )
    options.add_columns(parser, "all but the context's", "none")
    tables.add_reading(parser, "error", "drop", "marginal")
    kinds.add(parser)
    _add_model(parser)
    _add_learning(parser)
    _add_running(parser)
    parser.set_defaults(run=run)


def _add_model(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("model")
    group.add_argument(
        "--recipe",
        choices=list(RECIPES),
        default="realnvp",
        metavar="NAME",
        help=f"the flow: {', '.join(RECIPES)} (default: realnvp)",
    )
    group.add_argument(
        "--layers",
        metavar="N",
        type=options.count,
        help="couplings, or what else is repeated (default: the recipe's; 8 for realnvp)",
    )
    group.add_argument(
        "--hidden",
        metavar="N,N,...",
        type=options.widths,
        help="hidden widths of each network; of nsf, nsf_ar and ncsf one number, that of residual "
        "networks (default: the recipe's; 64,64 for realnvp)",
    )
    group.add_argument(
        "--dtype",
        choices=["float32", "float64"],
        default="float32",
        help="precision of the computation (default: float32)",
    )


def _add_learning(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("learning")
    group.add_argument(
        "--epochs",
        metavar="N",
        type=options.count,
        default=200,
        help="times to go through the rows at most (default: 200)",
    )
    group.add_argument(
        "--batch-size",
        metavar="N",
        type=options.count,
        help="rows in a step (default: 256, or all if there are fewer)",
    )
    group.add_argument(
        "--learning-rate",
        metavar="X",
        type=options.positive,
        default=1e-3,
        help="of Adam (default: 0.001)",
    )
    group.add_argument(
        "--validation",
        metavar="X",
        type=options.fraction,
        default=0.1,
        help="fraction of the rows to hold out; 0 keeps the last weights (default: 0.1)",
    )
    group.add_argument(
        "--patience",
        metavar="N",
        type=options.count,
        default=20,
        help="stop after so many epochs without improvement on the rows held out (default: 20)",
    )
    group.add_argument(
        "--jitter",
        metavar="X|X,X,...",
        type=options.numbers,
        help="width of uniform noise for all columns or for each, 0 for none",
    )


def _add_running(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("running")
    group.add_argument(
        "--seed",
        metavar="N",
        type=options.natural,
        default=0,
        help="of starting weights, held-out rows, order and noise (default: 0)",
    )
    options.add_threads(group)
    group.add_argument("--checkpoint", metavar="FILE", help="file to keep what --resume needs")
    group.add_argument(
        "--resume", metavar="FILE", help="go on from a checkpoint, of the same table and options"
    )
    options.add_quiet(group)


def run(arguments: argparse.Namespace) -> int:
    table, output, checkpoint = arguments.table, arguments.output, arguments.checkpoint
    outputs.check_model_name(output, table, checkpoint, arguments.resume)
    if checkpoint is not None:
        outputs.check_writable(checkpoint, table)
    if arguments.threads is not None:
        set_num_threads(arguments.threads)
    source = tables.opened(table, arguments)
    marginal = arguments.missing == "marginal"
    missing: Missing = "nan" if marginal else arguments.missing
    with work.reading(source, arguments.quiet):
        rows = tables.read(
            source,
            arguments.columns,
            arguments.context_columns,
            kinds.with_labels(arguments),
            missing,
        )
    columns, context_columns = kinds.of(arguments, rows)
    domains.check(rows, columns, context_columns, may_lack=marginal)
    flow = build(rows, columns, context_columns, arguments)
    flow.columns = rows.names(rows.features)
    flow.context_columns = rows.names(rows.given) if rows.given else None
    history = _learn(flow, rows, arguments)
    _check_learned(flow, history)
    flow.fitted = _notes(rows, history, arguments)
    flow.save(output)
    print(summary(history))
    print(f"wrote {output}")
    return INTERRUPTED if history.stopped == "interrupted" else 0


def _learn(flow: Flow, rows: tables.Table, arguments: argparse.Namespace) -> History:
    validated = arguments.validation > 0.0
    return flow.fit(
        rows.x,
        context=rows.context,
        validation=arguments.validation if validated else None,
        epochs=arguments.epochs,
        batch_size=arguments.batch_size,
        optimizer=Adam(arguments.learning_rate),
        patience=arguments.patience if validated else None,
        jitter=arguments.jitter,
        missing="marginal" if arguments.missing == "marginal" else "error",
        seed=arguments.seed,
        progress=not arguments.quiet,
        checkpoint=arguments.checkpoint,
        resume=arguments.resume,
    )


def _notes(
    rows: tables.Table, history: History, arguments: argparse.Namespace
) -> dict[str, str | int | float | None]:
    """What ``cflows info`` tells of the fit."""
    total, held_out = len(rows.x), 0
    if arguments.validation > 0.0:
        held_out = len(_core.split_rows(total, arguments.validation, arguments.seed)[1])
    best = history.best_epoch
    return {
        "recipe": arguments.recipe,
        "rows": total - held_out,
        "rows held out": held_out,
        "epochs": len(history.train),
        "nats a row, held out": None if best is None else history.validation[best - 1],
        "nats a row, learning": history.train[-1] if history.train else None,
        "date": _now(),
    }


def _now() -> str:
    """The date, or that of SOURCE_DATE_EPOCH, with which a file can be made again bit for bit."""
    seconds = int(os.environ.get("SOURCE_DATE_EPOCH") or time.time())
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat().replace("+00:00", "Z")


def _check_learned(flow: Flow, history: History) -> None:
    """NumericalError of a model that must not be saved."""
    losses = history.train if history.best_epoch is None else history.validation
    last = losses[-1:] if history.best_epoch is None else [losses[history.best_epoch - 1]]
    finite = all(np.isfinite(array).all() for array in flow.parameters.values())
    if finite and all(loss is not None and np.isfinite(loss) for loss in last):
        return
    raise NumericalError(
        "the fit diverged, and the model is not written: its "
        + ("loss is" if finite else "weights are")
        + " not finite; try a smaller --learning-rate, or look for numbers far from all others"
    )
