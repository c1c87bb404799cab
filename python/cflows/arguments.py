"""Numbers that callers give, as Python's own, or an exception that names them."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any


def integer(name: str, value: Any, least: int, most: int = 2**63 - 1) -> int:
    """An int from `least` to `most`, or ValueError; TypeError for another kind."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an int, got {value!r}")
    number = int(value)
    if number < least:
        raise ValueError(f"{name} must be {least} or more, got {number}")
    if number > most:
        raise ValueError(f"{name} must be at most {most}, got {number}")
    return number


def real(name: str, value: Any) -> float:
    """A float; TypeError for another kind, ValueError for what no float holds."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {value!r}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name} must fit a float") from None
