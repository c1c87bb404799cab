"""Descriptions that know what of them has been read: nothing of a case is ignored in silence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

# What explains a case to people, or what the arrays and the other keys say too.
NOTES = frozenset(
    {
        "formula",
        "in",
        "inverse",
        "mask_parity",
        "net_note",
        "note",
        "order_note",
        "out",
        "passes",
        "raw_note",
        "raw_order",
        "scale_formula",
    }
)

# Of the whole case: where it comes from, what its gloss and its checks are.
ORIGIN = frozenset(
    {
        "case",
        "check",
        "commit",
        "family",
        "format",
        "gloss",
        "layer_order",
        "library_direction",
        "licence",
        "notes",
        "peer",
        "repository",
        "rows",
        "tolerance",
        "training",
    }
)


class Description(dict[str, Any]):
    """A dictionary of JSON, dictionaries in it included, that notes which keys are asked for."""

    def __init__(self, items: dict[str, Any], seen: set[str] | None = None) -> None:
        super().__init__({key: _described(value) for key, value in items.items()})
        self.seen: set[str] = set() if seen is None else seen

    def __getitem__(self, key: str) -> Any:
        self.seen.add(key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self.seen.add(key)
        return super().get(key, default)

    def __contains__(self, key: object) -> bool:
        self.seen.add(str(key))
        return super().__contains__(key)

    def but(self, **changes: Any) -> Description:
        """With other values; what is read of it is read of this one."""
        return Description({**dict(self.items()), **changes}, self.seen)

    def unread(self, at: str, ignored: frozenset[str] = NOTES) -> Iterator[str]:
        """Where in it something stands that nobody has asked for."""
        for key, value in self.items():
            if key in ignored:
                continue
            if key not in self.seen:
                yield f"{at}{key}"
                continue
            for name, part in _parts(key, value):
                yield from part.unread(f"{at}{name}.")


class Arrays(dict[str, np.ndarray]):
    """Arrays by key, which note those that are asked for."""

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        super().__init__(arrays)
        self.seen: set[str] = set()

    def __getitem__(self, key: str) -> np.ndarray:
        self.seen.add(key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self.seen.add(key)
        return super().get(key, default)

    def unread(self) -> list[str]:
        """Weights that nobody has asked for."""
        return [k for k in self if k.startswith(("layer", "base/")) and k not in self.seen]


def expect(description: dict[str, Any], key: str, *values: Any) -> None:
    """ValueError if the description has a value that is none of these, which builders assume."""
    if key in description and description[key] not in values:
        among = " or ".join(map(repr, values))
        raise ValueError(f"{key} must be {among}, got {description[key]!r}")


def _described(value: Any) -> Any:
    if isinstance(value, Description):
        return value
    if isinstance(value, dict):
        return Description(value)
    return [_described(item) for item in value] if isinstance(value, list) else value


def _parts(key: str, value: Any) -> Iterator[tuple[str, Description]]:
    if isinstance(value, Description):
        yield key, value
    elif isinstance(value, list):
        for i, item in enumerate(value):
            if isinstance(item, Description):
                yield f"{key}[{i}]", item
