"""The command line: a file for each subcommand, and files of what they share."""

from .main import main

__all__ = ["main"]
