"""What the core says of rows that it refuses to learn, with the names of columns and advice."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import _core

if TYPE_CHECKING:
    from .flow import Flow
    from .training_rows import TrainingRows

__all__ = ["Names", "explaining"]

Names = tuple[str, ...] | None

_LOOKED_AT = 100  # rows among which one inside the domain is looked for
_FEATURES = 500  # at most: columns are tried one by one


@contextmanager
def explaining(
    model: Flow,
    rows: TrainingRows,
    held_out: TrainingRows | None,
    names: tuple[Names, Names],
) -> Iterator[None]:
    """Raise what the core says of a row with the name of the column and with what to do.

    Parameters
    ----------
    model : Flow
        That is free again when the error comes.
    rows, held_out : TrainingRows
    names : tuple
        Of the columns of x and of the context; None has none.
    """
    try:
        yield
    except ValueError as error:
        said = _not_finite(str(error), model, names)
        said = said or _outside(str(error), model, (rows, held_out), names[0])
        if said is None:
            raise
        raise ValueError(said) from None


def _not_finite(text: str, model: Flow, names: tuple[Names, Names]) -> str | None:
    found = re.search(r"row \d+ holds (\S+) in column (\d+);", text)
    if found is None:
        return None
    number, column, of_context = found[1], int(found[2]), ", context: " in text
    named = _named(column, names[of_context])
    text = text.replace(f"in column {column};", f"in column {named};")
    return f"{text}; {_advice(model, number, of_context)}"


def _advice(model: Flow, number: str, of_context: bool) -> str:
    of_vectors = isinstance(model, _core.Flow) and model.base_shape == (model.features,)
    if number == "nan" and not of_context and of_vectors and not model.stochastic:
        return "drop such rows, or learn from what is there with missing='marginal'"
    return "drop such rows, or put numbers in their place"


def _outside(
    text: str, model: Flow, rows: tuple[TrainingRows, TrainingRows | None], names: Names
) -> str | None:
    found = re.search(r"row (\d+) has log_prob", text)
    if found is None:
        return None
    known = rows[text.startswith("validation")] or rows[0]
    where = _columns_outside(model, known, int(found[1]), names)
    if len(model.shape) > 1:
        return f"{text}; drop such images, or make the flow with discrete=… for their levels"
    return f"{text}{where}; drop such rows, or make the flow with columns=… that allow for them"


def _named(column: int, names: Names) -> str:
    return str(column) if names is None else f"{column} ({names[column]})"


def _columns_outside(flow: Flow, rows: TrainingRows, row: int, names: Names) -> str:
    """Which columns of the row are outside the domain: those that take a row from inside out."""
    if len(flow.shape) > 1 or flow.features > _FEATURES:
        return ""
    context = rows.context
    if context is not None and context.ndim == 2:
        context = context[row if len(context) > 1 else 0]
    others = np.asarray(rows.x[:_LOOKED_AT], np.float64)
    inside = others[_have_density(flow, others, context)]
    if len(inside) == 0:
        return ""
    mixed = np.repeat(inside[:1], flow.features, axis=0)
    np.fill_diagonal(mixed, rows.x[row])
    found = np.flatnonzero(~_have_density(flow, mixed, context))
    said = ", ".join(f"{mixed[i, i]:.6g} in column {_named(int(i), names)}" for i in found[:8])
    return f", with {said}" if said else ""


def _have_density(flow: Flow, x: NDArray[Any], context: Any) -> NDArray[np.bool_]:
    return np.isfinite(flow.log_prob(x, context))
