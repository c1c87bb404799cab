"""``cflows info``: what is in a model file."""

from __future__ import annotations

import argparse
import os

from ..persist import load, read_safetensors
from . import options

_DESCRIPTION = """\
Show what a model is: the chain of layers from base to data, shapes, numbers of
parameters.

The whole file is checked: damage shows as an error.
"""

_EPILOG = """\
example:
  cflows info stars.safetensors
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
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    flow = load(arguments.model)
    _, metadata = read_safetensors(arguments.model)
    print(flow)
    print(f"seed {flow.seed}")
    print(
        f"{arguments.model}: {os.path.getsize(arguments.model):,} bytes, "
        f"format {metadata['format_version']}, written by cflows {metadata['version']}"
    )
    return 0
