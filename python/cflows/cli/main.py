"""The command ``cflows``: runs a subcommand and reports its errors."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence

from .. import NumericalError, __version__
from . import demo, fit, info, log_prob, sample
from .options import Help
from .status import INTERRUPTED, NOBODY_READS

_DESCRIPTION = """\
Normalizing flows: learn the density of a table of numbers, score rows, draw
new ones.

Every command explains itself: cflows fit --help
"""

_EPILOG = """\
a first look, at data that come with it:
  cflows demo

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
        The arguments; by default those of the process. Without any, it prints its help.

    Returns
    -------
    int
        The exit status: 0; 1 after an error, with one line on stderr; 130 after Ctrl-C; 141 if the
        reader of the output has closed it. Wrong usage raises ``SystemExit(2)``, as in argparse.

    Examples
    --------
    >>> main(["demo", "moons", "--quick", "--output", "/nowhere"])
    1
    """
    given = sys.argv[1:] if argv is None else argv
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warn
            return _run(given or ["--help"])
    except KeyboardInterrupt:
        print("cflows: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        _silence_stdout()
        return NOBODY_READS
    except OSError as error:
        reason = error.strerror or str(error)
        return _fail(reason if error.filename is None else f"{error.filename}: {reason}")
    except MemoryError as error:
        return _fail(f"not enough memory: {error}")
    except (ValueError, NumericalError, ImportError) as error:
        return _fail(str(error))


def _run(given: Sequence[str]) -> int:
    try:
        arguments = _parser().parse_args(given)
    finally:
        _flush()  # the text of --help
    status: int = arguments.run(arguments)
    _flush()
    return status


def _flush() -> None:
    """Flush the output now, so that an error does not come when the interpreter ends."""
    if sys.stdout is None:  # the shell closed it
        return
    try:
        sys.stdout.flush()
    except OSError as error:
        _silence_stdout()
        raise OSError(error.errno, error.strerror, "standard output") from error


def _silence_stdout() -> None:
    """Discard buffered output: writing it when the interpreter ends would fail again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _warn(message: Warning | str, *_: object, **__: object) -> None:
    print(f"cflows: warning: {' '.join(str(message).split())}", file=sys.stderr)


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
