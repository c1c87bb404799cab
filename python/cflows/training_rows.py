"""The rows that a fit reads and their split, without copies."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _core
from .arrays import real_array
from .names import by_name

if TYPE_CHECKING:
    from .flow import Flow
    from .nn import Loss

Array = NDArray[Any]


@dataclass(frozen=True)
class TrainingRows:
    """The rows of x, context and u that the index selects, or all; one weight a selected row.

    u are points of the base that belong to the rows.
    """

    x: Array
    context: Array | None = None
    weights: Array | None = None
    index: Array | None = None
    u: Array | None = None

    def __len__(self) -> int:
        if self.index is not None:
            return len(self.index)
        return len(self.x) if self.x.ndim else 0

    @property
    def counted(self) -> int:
        """The number of rows in an epoch: those with a weight above 0."""
        return len(self) if self.weights is None else int(np.count_nonzero(self.weights))

    @property
    def arrays(self) -> tuple[Array, Array | None, Array | None, Array | None, Array | None]:
        """What `_core.Trainer` takes."""
        return self.x, self.context, self.weights, self.index, self.u


def read_rows(
    x: ArrayLike,
    context: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    u: ArrayLike | None = None,
    *,
    prefix: str = "",
) -> TrainingRows:
    """All rows of the arrays; the core checks the other shapes and dtypes.

    Error messages begin with `prefix`.
    """
    rows = TrainingRows(
        real_array(f"{prefix}x", x),
        None if context is None else real_array(f"{prefix}context", context),
        u=None if u is None else real_array(f"{prefix}u", u),
    )
    if weights is None:
        return rows
    array = real_array(f"{prefix}weights", weights)
    if array.shape != (len(rows),):
        shape = f"({len(rows)},), one a row"
        raise ValueError(f"{prefix}weights must have shape {shape}, got {array.shape}")
    return replace(rows, weights=np.ascontiguousarray(array, np.float64))


def check_order(x: Any, context: Any, weights: Any = None, *, prefix: str = "") -> None:
    """ValueError of tables of pandas that label the same rows in different orders.

    Rows belong together by position. Error messages begin with `prefix`.
    """
    for name, other in (("context", context), ("weights", weights)):
        if _is_in_another_order(getattr(x, "index", None), getattr(other, "index", None)):
            raise ValueError(
                f"{prefix}the index of {name} is that of x in another order, and rows belong "
                f"together by position: write {name}.loc[x.index], or {name}.to_numpy() to leave "
                "them as they are"
            )


def _is_in_another_order(index: Any, other: Any) -> bool:
    if not (hasattr(index, "isin") and hasattr(other, "isin")) or len(index) != len(other):
        return False
    return not index.equals(other) and bool(index.isin(other).all() and other.isin(index).all())


def with_weight(rows: TrainingRows) -> TrainingRows:
    """Those that have a weight: what the others hold is not read, and may be anything."""
    if rows.weights is None or rows.weights.all() or not rows.weights.any():
        return rows
    return _selected(rows, np.flatnonzero(rows.weights).astype(np.int64))


def read_validation(
    rows: TrainingRows,
    validation: float | ArrayLike | tuple[Any, ...] | None,
    seed: int,
    model: Flow | Loss,
    learned: tuple[tuple[str, ...] | None, tuple[str, ...] | None] = (None, None),
) -> tuple[TrainingRows, TrainingRows | None]:
    """The rows to train on, and those to validate with.

    Parameters
    ----------
    rows : TrainingRows
    validation : float, array_like, tuple or None
        A fraction to hold out of `rows`, or others: ``x``, ``(x, context, weights)`` or, if rows
        have points of the base, ``(x, context, weights, u)``.
    seed : int
        Of the choice of the fraction.
    model : Flow or Loss
        That is fitted, whose columns tables are matched to.
    learned : pair of tuples of str or None
        The names of the columns of x and of the context, of a model that has none yet.
    """
    if validation is None:
        return rows, None
    if isinstance(validation, (bool, str)):
        raise TypeError(f"validation must be a fraction, an array or a tuple, got {validation!r}")
    if isinstance(validation, Real):
        if len(rows) == 0:
            raise ValueError("training data: no rows")
        try:
            train, held_out = _core.split_rows(len(rows), float(validation), seed)
        except ValueError as error:
            raise ValueError(
                f"{error}; validation=None (--validation 0) trains on all rows"
            ) from None
        return _selected(rows, train), _selected(rows, held_out)
    parts = validation if isinstance(validation, tuple) else (validation,)
    if not 1 <= len(parts) <= 4:
        raise ValueError(f"validation must be (x, context, weights), got {len(parts)} parts")
    ports = ("x", "context")[: len(parts)]
    x, context, weights, u = (*parts, None, None, None)[:4]
    if (u is None) != (rows.u is None):
        raise ValueError(
            "validation must be (x, context, weights, u) where u is given, points of the base that "
            "belong to the rows, and only there"
        )
    check_order(x, context, weights, prefix="validation: ")
    named = [
        by_name(model, port, part, names)
        for port, part, names in zip(ports, parts, learned, strict=False)
    ]
    others = with_weight(read_rows(*named, *parts[2:], prefix="validation: "))
    _check_context(others, model.context_features)
    return rows, others


def _check_context(rows: TrainingRows, features: int) -> None:
    """Check the shape of the context: the core's message would not name the validation data."""
    if rows.context is None:
        if features > 0:
            raise ValueError(
                f"validation must be (x, context): the flow has {features} context features"
            )
    elif features == 0:
        raise ValueError("validation: the flow has no context features, got a context")
    elif rows.context.shape not in ((len(rows.x), features), (1, features), (features,)):
        raise ValueError(
            f"validation: context must have shape ({len(rows.x)}, {features}) or ({features},), "
            f"got {rows.context.shape}"
        )


def fingerprint(array: Array | None, former: object = None) -> str | None:
    """The shape of an array and a digest of its rows, read in parts.

    `former` is what a checkpoint has: version 0.1.0 looked at up to 256 rows, evenly spaced, and so
    does this then.
    """
    from hashlib import blake2b, sha256

    if array is None:
        return None
    if isinstance(former, str) and "of all rows" not in former:
        chosen = np.linspace(0, len(array) - 1, min(len(array), 256)).astype(np.int64)
        digest = sha256(np.ascontiguousarray(array[chosen], "<f8").tobytes()).hexdigest()
        return f"{array.shape} with digest {digest[:16]}"
    every = blake2b(digest_size=16)
    rows = max(1, (1 << 17) // max(1, math.prod(array.shape[1:])))
    for first in range(0, len(array), rows):
        every.update(np.ascontiguousarray(array[first : first + rows], "<f8").tobytes())
    return f"{array.shape} with digest of all rows {every.hexdigest()}"


def _selected(rows: TrainingRows, index: Array) -> TrainingRows:
    weights = None if rows.weights is None else rows.weights[index]
    return replace(rows, weights=weights, index=index if rows.index is None else rows.index[index])
