"""Libraries that read formats of files, imported when a file asks for them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["library"]


def library(name: str, path: str) -> Any:
    """The module of that name; ImportError that says what to install for the file."""
    try:
        return import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise ImportError(f"{path} needs {package}: pip install 'cflows[tables]'") from error
