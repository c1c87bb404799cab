"""``cflows demo``: from data to a picture in one command."""

from __future__ import annotations

import argparse
import os

from .. import set_num_threads
from ..data import TOYS
from ..history import History
from . import digits, options, outputs, toys
from .status import INTERRUPTED, summary

_DESCRIPTION = f"""\
Fit a flow to data that come with cflows, say how well it does on data it has
not seen, and write the model and, with matplotlib, a picture.

  digits   handwritten digits of 8 x 8 pixels, beside a normal distribution
           with full covariance
  toys     densities on the plane, beside the truth:
           {", ".join(TOYS)}
"""

_EPILOG = """\
examples:
  cflows demo
  cflows demo moons
  cflows demo digits --quick --output pictures
"""


def add(commands: options.Commands) -> None:
    parser = commands.add_parser(
        "demo",
        help="fit a flow to data that come with cflows, and draw a picture",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=options.Help,
    )
    parser.add_argument(
        "data",
        metavar="DATA",
        nargs="?",
        choices=["digits", *TOYS],
        default="digits",
        help="digits (default) or one of the toys",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FOLDER",
        default=".",
        help="folder to write to (default: the current one)",
    )
    parser.add_argument("--quick", action="store_true", help="a few epochs only, for a first look")
    options.add_quiet(parser)
    options.add_threads(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    start = os.path.normpath(os.path.join(arguments.output, f"cflows-{arguments.data}"))
    model, picture = f"{start}.safetensors", f"{start}.png"
    for path in (model, picture):
        outputs.check_writable(path)
    if arguments.threads is not None:
        set_num_threads(arguments.threads)
    if arguments.data == "digits":
        demo: digits.Digits | toys.Toy = digits.Digits(arguments.quick)
    else:
        demo = toys.Toy(TOYS[arguments.data], arguments.quick)
    history = demo.fit(progress=not arguments.quiet)
    demo.flow.save(model)
    print(summary(history))
    print(demo.report())
    _draw(demo, history, picture)
    print(f"wrote {model}\n  try: cflows sample {model} -n 10 -o {start}.csv")
    return INTERRUPTED if history.stopped == "interrupted" else 0


def _draw(demo: digits.Digits | toys.Toy, history: History, path: str) -> None:
    try:
        import matplotlib
    except ImportError:
        print("for a picture: pip install 'cflows[plot]', then this again")
        return
    from ..atomic import atomic_write

    matplotlib.use("agg")  # writing a file needs no display
    figure = demo.picture(history)
    with atomic_write(path) as file:
        figure.savefig(file, format="png", dpi=150)
    print(f"wrote {path}: {demo.PICTURE}")
