"""Strict JSON for untrusted files: refuses what the standard library's reader accepts."""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from typing import Any, NoReturn

MAX_DEPTH = 64  # of nested lists and objects


def parse(text: str) -> Any:
    """Read JSON, and refuse what parsers disagree about.

    Parameters
    ----------
    text : str

    Returns
    -------
    object
        Of dict, list, str, int, float, bool and None.

    Raises
    ------
    ValueError
        If the text is not JSON; if an object has a key twice; if a number is NaN, infinite or
        overflows; if lists and objects nest deeper than `MAX_DEPTH`.

    References
    ----------
    RFC 8259, The JavaScript Object Notation (JSON) Data Interchange Format.

    Examples
    --------
    >>> parse('{"shape": [2, 3]}')
    {'shape': [2, 3]}
    >>> parse('{"a": 1, "a": 2}')
    Traceback (most recent call last):
    ValueError: the key 'a' comes twice
    """
    try:
        value = json.loads(
            text, object_pairs_hook=_without_repeats, parse_constant=_refuse, parse_float=_finite
        )
    except RecursionError:
        raise _too_deep() from None
    _check_depth(value)
    return value


def _check_depth(value: Any) -> None:
    """ValueError if it nests too deep: recursion over the value, such as repr, needs stack."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [item for group in level for item in _items(group)]
    if level:
        raise _too_deep()


def _items(value: Any) -> Collection[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _too_deep() -> ValueError:
    return ValueError(f"lists and objects nest deeper than {MAX_DEPTH} levels")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for key, value in pairs:
        if key in members:
            raise ValueError(f"the key {key[:80]!r} comes twice")
        members[key] = value
    return members


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON number")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"the number {digits[:80]} overflows")
    return value
