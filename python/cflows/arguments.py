"""Numbers that callers give, as Python's own, or an exception that names them."""

from __future__ import annotations

import math
import os
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


def gradient_limit(clip_norm: Any) -> float:
    """0 for None and for infinity, as the core has it."""
    limit = math.inf if clip_norm is None else real("clip_norm", clip_norm)
    if not limit > 0.0:
        raise ValueError(f"clip_norm must be above 0 or None, got {clip_norm}")
    return limit if limit < math.inf else 0.0


def drawn_seed() -> int:
    """63 bits of the operating system's entropy."""
    return int.from_bytes(os.urandom(8), "little") >> 1


def check_callback(callback: Any) -> None:
    """TypeError unless it is None or can be called."""
    if callback is not None and not callable(callback):
        raise TypeError(f"callback must be callable, got {callback!r}")
