"""Splitting rows into disjoint parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]


@overload
def split(
    x: tuple[ArrayLike, ...], parts: Sequence[float], seed: int = 0
) -> list[tuple[Array, ...]]: ...


@overload
def split(x: ArrayLike, parts: Sequence[float], seed: int = 0) -> list[Array]: ...


def split(
    x: ArrayLike | tuple[ArrayLike, ...], parts: Sequence[float], seed: int = 0
) -> list[Array] | list[tuple[Array, ...]]:
    """Shuffle the rows and deal them out to disjoint parts.

    Parameters
    ----------
    x : array_like, shape (n, …), or tuple of such
        Arrays of a tuple are split alike, so that their rows stay aligned.
    parts : sequence of float or of int
        Fractions of the rows, of sum at most one, or numbers of rows, of sum at most ``n``. Rows
        that no part asks for are left out; fractions of sum one leave none out.
    seed : int
        The same seed gives the same parts.

    Returns
    -------
    list
        One entry a part: an array, or a tuple of arrays if a tuple was given. All are copies.

    Raises
    ------
    ValueError
        If the arrays differ in their number of rows, or the parts ask for more than there is.

    Examples
    --------
    >>> import numpy as np
    >>> from cflows import data
    >>> x, y = np.zeros((100, 3)), np.arange(100)
    >>> train, test = data.split(x, (0.8, 0.2))
    >>> train.shape, test.shape
    ((80, 3), (20, 3))
    >>> (x_train, y_train), (x_test, y_test) = data.split((x, y), (60, 30), seed=1)
    >>> x_train.shape, y_test.shape
    ((60, 3), (30,))
    """
    arrays = [np.asanyarray(array) for array in (x if isinstance(x, tuple) else (x,))]
    n = _common_length(arrays)
    ends = np.cumsum(_sizes(parts, n))
    order = np.random.default_rng(seed).permutation(n)
    rows = np.split(order, ends)[: len(ends)]
    if isinstance(x, tuple):
        return [tuple(array[part] for array in arrays) for part in rows]
    return [arrays[0][part] for part in rows]


def _common_length(arrays: list[Array]) -> int:
    shapes = [array.shape for array in arrays]
    if not shapes or () in shapes or len({shape[0] for shape in shapes}) != 1:
        raise ValueError(f"expected arrays with the same number of rows, got shapes {shapes}")
    return int(shapes[0][0])


def _sizes(parts: Sequence[float], n: int) -> Array:
    """The number of rows of each part."""
    asked = np.asarray(parts)
    if asked.ndim != 1 or asked.size == 0 or asked.dtype.kind not in "iuf":
        raise ValueError(f"parts must be a sequence of fractions or of sizes, got {parts!r}")
    if not (asked >= 0).all():
        raise ValueError(f"parts cannot be negative, got {parts!r}")
    if asked.dtype.kind in "iu":
        if asked.sum() > n:
            raise ValueError(f"the parts {parts!r} ask for {asked.sum()} rows, there are {n}")
        return asked
    # Decimal fractions such as 0.7 + 0.2 + 0.1 miss one by a rounding error.
    if asked.sum() > 1.0 + 1e-9:
        raise ValueError(f"the fractions {parts!r} sum to {asked.sum():g}, which is more than 1")
    # The ends of parts are rounded, not their sizes: fractions of sum one then use every row.
    ends = np.minimum(np.rint(np.cumsum(asked) * n), n).astype(np.int64)
    return np.diff(ends, prepend=0)
