"""Cells of text: numbers, spellings of a missing number, and anything else."""

from __future__ import annotations

import re
from typing import Literal

__all__ = ["MISSING", "convert", "is_number", "is_plain_integer", "kind_of"]

# What pandas takes for missing, and the marks of astropy, SAS and UCI's collection.
MISSING = frozenset(
    ["", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"]
    + ["<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null", "NAN", "NaT", "none", "na"]
    + ["-", "--", ".", "?"]
)
_NUMBER = re.compile(
    r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|inf(?:inity)?)", re.I
)
_PLAIN_INTEGER = re.compile(r"-?[0-9]+")


_TRUTH = {"True": 1.0, "TRUE": 1.0, "true": 1.0, "False": 0.0, "FALSE": 0.0, "false": 0.0}


def kind_of(cell: str, decimal: str = ".") -> Literal["number", "missing", "text"]:
    """What a cell without blanks around it holds."""
    if is_number(cell, decimal):
        return "number"
    return "missing" if cell in MISSING else "text"


def is_number(cell: str, decimal: str = ".") -> bool:
    """Whether it is a number in decimal notation, infinite, or True or False, 1 and 0."""
    if cell in _TRUTH:
        return True
    if decimal != ".":
        cell = "text" if "." in cell else cell.replace(decimal, ".")
    return _NUMBER.fullmatch(cell) is not None


def is_plain_integer(cell: str) -> bool:
    """Whether it is an integer, without a decimal point."""
    return _PLAIN_INTEGER.fullmatch(cell) is not None


def convert(cell: str, decimal: str) -> float | None:
    """Its number, NaN if that is missing, and None if there is something else."""
    kind = kind_of(cell, decimal)
    if kind == "number":
        return _TRUTH[cell] if cell in _TRUTH else float(cell.replace(decimal, "."))
    return float("nan") if kind == "missing" else None
