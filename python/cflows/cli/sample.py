"""``cflows sample``: draw rows."""

from __future__ import annotations

import argparse
import secrets
import sys
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import set_num_threads
from ..categories import Labels, decoded
from ..data.blocks import ranges, rows_at_once
from ..data.rows import Source
from ..data.sources import ENDINGS, holds_text, split_key, write_pieces
from ..flow import Flow
from ..names import by_name
from . import options, outputs, tables, work
from .matching import labels_of, match_context

Array = NDArray[Any]

_DESCRIPTION = """\
Draw new rows from a model. The same seed gives the same rows, on any number of
threads. Text and .npy may be larger than memory.
Categories are written as their labels, in .npy, .npz and HDF5 as numbers.

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
    options.add_quiet(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    outputs.check_table_name(arguments.output, arguments.model, arguments.context)
    if arguments.threads is not None:
        set_num_threads(arguments.threads)
    flow = options.read_flow(arguments.model)
    seed = secrets.randbits(63) if arguments.seed is None else arguments.seed
    most = sys.maxsize // (8 * flow.features)
    if arguments.number > most:
        raise ValueError(f"--number must be at most {most}, got {arguments.number}")
    contexts, source = _contexts(flow, arguments)
    with work.working("sampling", source, arguments.quiet) as progress:
        samples = _samples(flow, arguments.number, contexts, seed, progress)
        if flow.categories is not None and holds_text(arguments.output):
            samples = map(partial(_with_labels, flow.categories), samples)
        count = arguments.number if source is None else None
        write_pieces(arguments.output, samples, flow.columns, count)
    print(f"wrote {arguments.output}: {progress.rows:,} rows of {flow.features}, seed {seed}")
    return 0


def _samples(
    flow: Flow, number: int, contexts: Iterable[Array | None], seed: int, progress: work.Work
) -> Iterator[Array]:
    """Samples of each context, (some, features) at a time; the same as of a single call."""
    at_once = rows_at_once(flow.features)
    seen = 0
    for context in contexts:
        count = 1 if context is None else len(context)
        progress.expect((seen + count) * number)
        for rows in ranges(count, max(1, at_once // max(number, 1))):
            given = None if context is None else context[rows]
            for piece in ranges(number, at_once):
                start = (seen + rows.start) * number + piece.start
                x = flow.sample(piece.stop - piece.start, given, seed=seed, start=start)
                samples = x.reshape(-1, flow.features)
                yield samples
                progress.add(len(samples))
        seen += count


def _with_labels(labels: Labels, samples: Array) -> Array:
    """Samples as objects, with the labels of categories."""
    found = np.empty(samples.shape, object)
    for i, column in enumerate(decoded(samples, labels)):
        found[:, i] = column
    return found


def _contexts(
    flow: Flow, arguments: argparse.Namespace
) -> tuple[Iterable[Array | None], Source | None]:
    """The rows of the context, (some, context_features) at a time, and the table they are from.

    Without a context there is one, which is None.
    """
    if arguments.context is None:
        if flow.context_features > 0:
            raise ValueError(f"the model needs {_wanted(flow)}: give it with --context")
        return [None], None
    if flow.context_features == 0:
        raise ValueError(f"--context: the model takes no context, got {arguments.context!r}")
    if not split_key(arguments.context)[0].lower().endswith(ENDINGS):
        return [_numbers(flow, arguments.context)[None]], None
    source = tables.opened(arguments.context, arguments)
    with work.reading(source, arguments.quiet):
        columns = match_context(flow, source)
    labels = labels_of(flow, [], columns)
    pieces = tables.pieces(source, columns, [], labels, arguments.missing)
    return (x for x, _ in pieces), source


def _numbers(flow: Flow, text: str) -> Array:
    """The context given as numbers and labels, (context_features,)."""
    items = _named(flow, text) if "=" in text else text.split(",")
    if len(items) != flow.context_features:
        raise ValueError(f"--context: expected {_wanted(flow)}, or a table, got {text!r}")
    labels = flow.context_categories or (None,) * len(items)
    try:
        row = [float(x) if own is None else x for x, own in zip(items, labels, strict=True)]
        found = np.asarray(by_name(flow, "context", row), np.float64)
    except ValueError as error:
        raise ValueError(f"--context: expected {_wanted(flow)}, or a table: {error}") from None
    if not np.isfinite(found).all():
        raise ValueError(f"--context: expected {_wanted(flow)}, all finite, got {text!r}")
    return found


def _wanted(flow: Flow) -> str:
    """The context of a model, in words."""
    count, names = flow.context_features, flow.context_columns
    noun = "number" if flow.context_categories is None else "value"
    said = f"a context of {count} {noun}{'' if count == 1 else 's'}"
    return said if names is None else f"{said} ({', '.join(names)})"


def _named(flow: Flow, text: str) -> list[str]:
    """The values of ``"a=1,b=2"``, in the model's order."""
    known = flow.context_columns
    if known is None:
        raise ValueError("--context: the model has no names for its context: give numbers alone")
    pairs = [item.partition("=") for item in text.split(",")]
    given = {name.strip(): value.strip() for name, _, value in pairs}
    if len(given) != len(pairs) or given.keys() != set(known):
        raise ValueError(f"--context: expected each of {', '.join(known)} once, got {text}")
    return [given[name] for name in known]
