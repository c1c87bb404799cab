"""Files that subcommands write."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress

from ..data.sources import ENDINGS, ending, split_key

OUTPUT_HELP = f"file to write: {', '.join(ENDINGS)}"
MODEL_ENDING = ".safetensors"


def check_table_name(path: str, *others: str | None) -> None:
    """Raise, before the work, what writing a table of that name would raise after it."""
    ending(path)
    check_writable(path, *others)


def check_model_name(path: str, *others: str | None) -> None:
    """Raise unless a model of that name can be written, and would be known for one."""
    check_writable(path, *others)
    if not path.lower().endswith(MODEL_ENDING):
        raise ValueError(f"{path}: expected the name of a model, ending in {MODEL_ENDING}")


def check_writable(path: str, *others: str | None) -> None:
    """Raise unless the file can be created or replaced, and is none of the others."""
    if not os.path.basename(path):
        raise ValueError(f"expected the name of a file to write, got {path!r}")
    if os.path.isdir(path):
        raise IsADirectoryError(21, "Is a directory", path)
    if os.path.exists(path) and not os.path.isfile(path):
        raise ValueError(f"{path}: expected a regular file, got a pipe or a device")
    for other in others:
        if other is not None and _same_file(path, split_key(other)[0]):
            raise ValueError(f"{path}: expected an output of its own, this would replace {other}")
    target = os.path.realpath(path)
    try:
        with suppress(FileNotFoundError):
            os.stat(target)  # such as a name that is too long
        with tempfile.TemporaryFile(dir=os.path.dirname(target)):
            pass
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error


def _same_file(a: str, b: str) -> bool:
    try:
        return os.path.samefile(a, b)
    except OSError:  # it does not exist yet
        return os.path.realpath(a) == os.path.realpath(b)
