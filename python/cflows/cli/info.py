"""``cflows info``: what is in a model file."""

from __future__ import annotations

import argparse
import json
import os
from typing import Any

from ..ensembles import Ensemble
from ..flow import Flow
from ..persist import load, read_safetensors
from . import options

_DESCRIPTION = """\
Show what a model is: the chain of layers from base to data, shapes, numbers of
parameters, the names of its columns, and what it was learned from.

The whole file is checked: damage shows as an error.
"""

_EPILOG = """\
examples:
  cflows info stars.safetensors
  cflows info stars.safetensors --json
"""


def add(commands: options.Commands) -> None:
    parser = commands.add_parser(
        "info",
        help="show what is in a model file",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=options.Help,
    )
    parser.add_argument("model", metavar="MODEL", help="model that cflows fit has written")
    parser.add_argument("--json", action="store_true", help="print all that is known, as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    model = load(arguments.model)
    _, metadata = read_safetensors(arguments.model)
    facts = _facts(model, arguments.model, metadata)
    if arguments.json:
        print(json.dumps(facts))
        return 0
    print(model)
    for name in ("columns", "context_columns"):
        if facts[name] is not None:
            print(f"{name.replace('_', ' ')}: {', '.join(facts[name])}")
    for name, note in facts["fitted"].items():
        if note is not None:
            print(f"{name}: {_spelled(note)}")
    if facts["seed"] is not None:
        print(f"seed {facts['seed']}")
    print(
        f"{arguments.model}: {facts['bytes']:,} bytes, format {facts['format']}, "
        f"written by cflows {facts['version']}"
    )
    return 0


def _facts(model: Any, path: str, metadata: dict[str, str]) -> dict[str, Any]:
    """What is known of a model, in terms of JSON."""
    flow = model if isinstance(model, Flow) else None
    known = model if isinstance(model, (Flow, Ensemble)) else None
    return {
        "file": path,
        "bytes": os.path.getsize(path),
        "format": int(metadata["format_version"]),
        "version": metadata["version"],
        "type": type(model).__name__,
        "dtype": str(model.dtype),
        "seed": getattr(model, "seed", None),
        "parameters": model.n_parameters,
        "shape": known and list(known.shape),
        "context_features": known and known.context_features,
        "columns": known and known.columns,
        "context_columns": known and known.context_columns,
        "categories": known and known.categories,
        "context_categories": known and known.context_categories,
        "base": flow and repr(flow.base),
        "weights": model.weights.tolist() if isinstance(model, Ensemble) else None,
        "layers": flow and [repr(layer.spec) for layer in flow.layers],
        "fitted": {} if flow is None else flow.fitted,
    }


def _spelled(note: str | int | float) -> str:
    if isinstance(note, str):
        return note
    return f"{note:,}" if isinstance(note, int) else f"{note:.4f}"
