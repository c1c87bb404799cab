"""Names of columns: a table is matched to a model by them, an array by position."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from .arguments import listed
from .categories import encoded

if TYPE_CHECKING:
    from . import _core

__all__ = ["by_name", "checked_names", "checked_notes", "names_of"]

# Of pandas and polars, pyarrow, astropy.
_ATTRIBUTES = ("columns", "column_names", "colnames")


def names_of(table: Any) -> tuple[str, ...] | None:
    """The names of its columns; None unless all have one, of their own."""
    found = [getattr(getattr(table, "dtype", None), "names", None)]
    found += [getattr(table, attribute, None) for attribute in _ATTRIBUTES]
    for given in found:
        names = () if given is None or callable(given) else tuple(given)
        text = all(isinstance(name, str) for name in names)
        if text and names and len(set(names)) == len(names):
            return names
    return None


def by_name(
    model: _core.Model, port: str, table: Any, learned: tuple[str, ...] | None = None
) -> Any:
    """The columns of a table that the model knows, in its order, with numbers for the labels of
    categories; anything else as it is.

    The bindings call it for all inputs but plain arrays.

    Parameters
    ----------
    model : Model
    port : {'x', 'context'}
    table : object
    learned : tuple of str, optional
        The names that a model without names is about to have.

    Raises
    ------
    ValueError
        If the table has names, and columns of the model are missing.
    """
    if isinstance(table, np.ndarray) and table.dtype.kind in "biufc":
        return table
    table = _matched(model, port, _in_order(table), learned)
    labels = getattr(model, "categories" if port == "x" else "context_categories", None)
    return table if labels is None else encoded(port, table, names_of(table), labels)


def _in_order(table: Any) -> Any:
    """A table whose names are the numbers 0, 1, ... in another order, in theirs."""
    names = getattr(table, "columns", None)
    if names is None or callable(names) or not hasattr(table, "iloc"):
        return table
    count = len(names)
    numbers = all(isinstance(name, (int, np.integer)) for name in names)
    if not numbers or sorted(names) != list(range(count)):
        return table
    return table[list(range(count))]


def _of_row(table: Any, known: tuple[str, ...]) -> Any:
    """The numbers of a row with names, such as a table's; anything else as it is."""
    index = getattr(table, "index", None)
    if index is None or callable(index) or np.ndim(table) != 1:
        return table
    labels = list(index)
    return table[list(known)] if set(known) <= set(labels) else table


def _matched(model: _core.Model, port: str, table: Any, learned: tuple[str, ...] | None) -> Any:
    known = getattr(model, "columns" if port == "x" else "context_columns", None) or learned
    names = names_of(table)
    if known is not None and names is None:
        return _of_row(table, known)
    if known is None or names is None or names == known:
        return table
    missing = [name for name in known if name not in names]
    if missing:
        raise ValueError(
            f"{port} lacks the column{'' if len(missing) == 1 else 's'} {listed(missing)}: the "
            f"flow learned {listed(known)}, and the table has {listed(names)}"
        )
    select = getattr(table, "select", None) if hasattr(table, "column_names") else None
    return table[list(known)] if select is None else select(list(known))


def checked_names(what: str, names: Any, count: int) -> tuple[str, ...] | None:
    """As many different names, or None; ValueError for others."""
    if names is None:
        return None
    found = (names,) if isinstance(names, str) else tuple(names)
    if not all(isinstance(name, str) for name in found):
        raise TypeError(f"{what} must be strings, got {names!r}")
    if len(found) != count or len(set(found)) != count:
        raise ValueError(f"{what} must be {count} different names, got {found}")
    return found


def checked_notes(notes: Any) -> dict[str, Any]:
    """A dict of text and finite numbers by name; TypeError or ValueError for others."""
    found = dict(notes)
    for name, note in found.items():
        if not isinstance(name, str) or not isinstance(note, (str, int, float, type(None))):
            raise TypeError(
                f"notes must be str, int, float or None by name, got {name!r}: {note!r}"
            )
        if isinstance(note, float) and not math.isfinite(note):
            raise ValueError(f"notes must be finite, got {name}={note}")
    return found
