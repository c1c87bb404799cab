"""What the command lines of the benchmarks share."""

from __future__ import annotations

import argparse
from collections.abc import Iterable


def choices(text: str, allowed: Iterable[str]) -> list[str]:
    """Names separated by commas, each one of `allowed`."""
    names = [name.strip() for name in text.split(",")]
    unknown = [name for name in names if name not in allowed]
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(allowed)}")
    return names
