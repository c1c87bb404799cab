"""The command line: one subcommand a file, what they share beside them."""

from .main import main

__all__ = ["main"]
