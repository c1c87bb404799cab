"""Names of columns: a table is matched to a model by them, an array by position."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .arguments import listed
from .arrays import real_array
from .categories import encoded, is_number

if TYPE_CHECKING:
    from . import _core

__all__ = [
    "array_by_name",
    "by_name",
    "checked_names",
    "checked_notes",
    "names_of",
    "repeated_names",
    "row_by_name",
    "selected",
]

Names = tuple[str, ...]

# Of pandas and polars, pyarrow, astropy.
_ATTRIBUTES = ("columns", "column_names", "colnames")


def names_of(table: Any) -> Names | None:
    """The names of its columns as text; None unless all have one, of their own."""
    names = _all_names(table)
    return names if names is not None and len(set(names)) == len(names) else None


def repeated_names(table: Any) -> Names:
    """The names that several of its columns have."""
    counts = Counter(_all_names(table) or ())
    return tuple(name for name, count in counts.items() if count > 1)


def by_name(model: _core.Model, port: str, table: Any, learned: Names | None = None) -> Any:
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
        If the table has names, and columns of the model are missing or there several times.
    """
    if type(table) is np.ndarray and table.dtype.kind in "biufc":
        return table
    known = getattr(model, "columns" if port == "x" else "context_columns", None) or learned
    table = _matched(port, table, known)
    if isinstance(table, np.ndarray) and table.dtype.kind in "biufc":
        return table
    labels = getattr(model, "categories" if port == "x" else "context_categories", None)
    return table if labels is None else encoded(port, table, _columns(table), labels)


def array_by_name(model: _core.Model, port: str, table: Any) -> NDArray[Any]:
    """The same as an array of real numbers; TypeError, or ValueError, if it is none."""
    return real_array(port, by_name(model, port, table))


def row_by_name(what: str, row: Any, known: Names | None) -> Any:
    """A Series of pandas in the order of the names, by its labels; anything else as it is.

    By position go a Series where there are no names, and one whose labels are 0, 1, ...

    Raises
    ------
    ValueError
        If it lacks one of the names.
    """
    if not _is_series(row):
        return row
    labels, places = _texts(row.index), _numbered(row.index)
    if known is not None and (places is None or not set(known).isdisjoint(labels)):
        if len(row) != len(known) and set(known).isdisjoint(labels):
            return row  # no row of the table: its length is refused
        places = _places(what, "row", labels, known)
    return row if places is None else row.iloc[places]


def selected(table: Any, names: Names) -> Any:
    """The columns of these names, which the table has, in this order."""
    if _is_of_pandas(table):
        places = {name: place for place, name in enumerate(_texts(table.columns))}
        # By place: pandas reads names such as True in a way of its own.
        return table.iloc[:, [places[name] for name in names]]
    select = getattr(table, "select", None) if hasattr(table, "column_names") else None
    return table[list(names)] if select is None else select(list(names))


def _columns(table: Any) -> dict[str, Any] | None:
    """The columns of a table by their names; None unless all have one, of their own."""
    names = names_of(table)
    if names is None or not _is_of_pandas(table):
        return None if names is None else {name: table[name] for name in names}
    return {name: table.iloc[:, place] for place, name in enumerate(names)}


def _all_names(table: Any) -> Names | None:
    """The names of its columns as text, also where two are the same; None if they have none."""
    if _is_of_pandas(table):  # its names may be anything
        named = not _is_series(table) and _numbered(table.columns) is None
        return _texts(table.columns) if named else None
    found = [getattr(getattr(table, "dtype", None), "names", None)]
    found += [getattr(table, attribute, None) for attribute in _ATTRIBUTES]
    for given in found:
        names = () if given is None or callable(given) else tuple(given)
        if names and all(isinstance(name, str) for name in names):
            return names
    return None


def _texts(names: Sequence[Any]) -> Names:
    return tuple(map(_text, names))


def _text(name: Any) -> str:
    """A name as text; of several levels theirs, with dots between them."""
    levels = map(str, name if isinstance(name, tuple) else (name,))
    return ".".join(level for level in levels if level)


def _numbered(names: Sequence[Any]) -> list[int] | None:
    """Where 0, 1, ... are among the names, if these are all; None of other names."""
    known = (int, np.integer)
    numbers = [int(n) for n in names if isinstance(n, known) and not isinstance(n, bool)]
    if len(numbers) < len(names) or sorted(numbers) != list(range(len(names))):
        return None
    return [int(place) for place in np.argsort(numbers)]


def _is_of_pandas(table: Any) -> bool:
    return hasattr(table, "iloc") and hasattr(table, "ndim")  # tables of astropy have no ndim


def _is_series(table: Any) -> bool:
    return _is_of_pandas(table) and table.ndim == 1


def _matched(port: str, table: Any, known: Names | None) -> Any:
    if port == "context" and _is_series(table):
        return row_by_name(port, table, known)
    names = _all_names(table)
    if names is None:
        _check_own_name(port, table, known)
        return _in_order(port, table, known)
    if known is None or names == known:
        return table
    _places(port, "table", names, known)
    return selected(table, known)


def _in_order(port: str, table: Any, known: Names | None) -> Any:
    """A table whose names are the numbers 0, 1, ... in their order, or in that of a model which
    knows some by these names; anything else as it is."""
    if not _is_of_pandas(table) or table.ndim == 1:
        return table
    names, places = _texts(table.columns), _numbered(table.columns)
    if known is not None and not set(known).isdisjoint(names):
        places = _places(port, "table", names, known)
    return table if places is None else table.iloc[:, places]


def _places(what: str, kind: str, names: Names, known: Names) -> list[int]:
    """Where the known names are among others, each of which must be there once."""
    counts, places = Counter(names), {name: place for place, name in enumerate(names)}
    missing = [name for name in known if name not in places]
    if missing:
        raise ValueError(
            f"{what} lacks the column{'' if len(missing) == 1 else 's'} {listed(missing)}: the "
            f"flow learned {listed(known)}, and the {kind} has {listed(names)}"
        )
    several = [name for name in known if counts[name] > 1]
    if several:
        raise ValueError(
            f"{what} has several columns named {several[0]!r}: the flow learned {listed(known)}, "
            "each by its name; rename or drop the others"
        )
    return [places[name] for name in known]


def _check_own_name(port: str, column: Any, known: Names | None) -> None:
    """ValueError of a single column, such as a Series, under another name than the model's one."""
    is_column = hasattr(column, "to_numpy") or hasattr(column, "parent_table")  # or of astropy
    name = getattr(column, "name", None) if is_column else None
    if port != "x" or name is None or known is None or len(known) != 1 or np.ndim(column) != 1:
        return
    # A number may be the label of a row.
    is_named = _text(name) != "" and (isinstance(name, (str, tuple)) or is_number(known[0]))
    if is_named and _text(name) != known[0]:
        raise ValueError(
            f"{port} is the column {_text(name)}, and the flow learned {known[0]}: give it that "
            f"one, or np.asarray({port}) to go by position"
        )


def checked_names(what: str, names: Any, count: int) -> Names | None:
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
