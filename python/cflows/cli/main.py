"""The command ``cflows``: which subcommand runs, and how its failures are told."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from .. import NumericalError, __version__
from . import demo, fit, info, log_prob, sample
from .options import Help
from .status import INTERRUPTED, NOBODY_READS

_DESCRIPTION = """\
Normalizing flows: learn the density of a table of numbers, score rows, draw new ones.

Every command explains itself: cflows fit --help
"""

_EPILOG = """\
example, from a table to new rows:
  cflows fit stars.csv -o stars.safetensors
  cflows log-prob stars.safetensors stars.csv -o scores.csv
  cflows sample stars.safetensors -n 1000 -o new.csv
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; by default those of the process. Without any it is the demo.

    Returns
    -------
    int
        The exit status: 0; 1 after an error, told in one line on stderr; 130 after Ctrl-C; 141 if
        whoever read the output has gone. A wrong usage raises ``SystemExit(2)``, as argparse does.

    Examples
    --------
    >>> main(["demo", "moons", "--quick", "--output", "/nowhere"])
    1
    """
    given = sys.argv[1:] if argv is None else argv
    arguments = _parser().parse_args(given or ["demo"])
    try:
        status: int = arguments.run(arguments)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        print("cflows: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        _silence_stdout()
        return NOBODY_READS
    except OSError as error:
        return _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except MemoryError as error:
        return _fail(f"not enough memory: {error}")
    except (ValueError, NumericalError, ImportError) as error:
        return _fail(str(error))


def _silence_stdout() -> None:
    """What is still to be written would be an error once more when the interpreter ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _fail(message: str) -> int:
    print(f"cflows: error: {' '.join(message.split())}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "cflows", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=Help
    )
    parser.add_argument("--version", action="version", version=f"cflows {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in (demo, fit, log_prob, sample, info):
        command.add(commands)
    return parser
