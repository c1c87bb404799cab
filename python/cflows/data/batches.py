"""Minibatches of arrays, which may be larger than memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arguments import integer

Array = NDArray[Any]


@overload
def batches(
    x: tuple[ArrayLike, ...], size: int, seed: int | None = 0, epoch: int = 0, partial: bool = True
) -> Iterator[tuple[Array, ...]]: ...


@overload
def batches(
    x: ArrayLike, size: int, seed: int | None = 0, epoch: int = 0, partial: bool = True
) -> Iterator[Array]: ...


def batches(
    x: ArrayLike | tuple[ArrayLike, ...],
    size: int,
    seed: int | None = 0,
    epoch: int = 0,
    partial: bool = True,
) -> Iterator[Array] | Iterator[tuple[Array, ...]]:
    """Go through the rows once, shuffled, so many at a time.

    Parameters
    ----------
    x : array_like, shape (n, …), or tuple of such
        Arrays of a tuple give rows that belong together. Of a `numpy.memmap` only the rows of a
        batch are read.
    size : int
        Rows of a batch.
    seed : int, optional
        Of the order; the same seed and epoch give the same. None keeps the order of the array.
    epoch : int, default 0
        Every epoch has its own order.
    partial : bool, default True
        Whether the remaining rows make a smaller last batch or are left out.

    Yields
    ------
    ndarray or tuple of ndarray
        Copies.

    Raises
    ------
    ValueError
        If the arrays differ in their number of rows, or `size` is not positive.

    See Also
    --------
    cflows.Flow.fit : takes arrays, and makes its own minibatches.

    Examples
    --------
    >>> import numpy as np
    >>> from cflows import data
    >>> [len(x) for x in data.batches(np.zeros((10, 2)), 4)]
    [4, 4, 2]
    >>> [x.tolist() for x in data.batches(np.arange(5), 2, seed=None, partial=False)]
    [[0, 1], [2, 3]]
    """
    arrays = [np.asanyarray(array) for array in (x if isinstance(x, tuple) else (x,))]
    lengths = {len(array) for array in arrays}
    if len(lengths) != 1:
        raise ValueError(f"the arrays must have one number of rows, got {sorted(lengths)}")
    found = _batches(arrays, integer("size", size, 1), seed, integer("epoch", epoch, 0), partial)
    return found if isinstance(x, tuple) else (rows for (rows,) in found)


def _batches(
    arrays: list[Array], size: int, seed: int | None, epoch: int, partial: bool
) -> Iterator[tuple[Array, ...]]:
    n = len(arrays[0])
    order = np.arange(n)
    if seed is not None:
        np.random.default_rng([integer("seed", seed, 0), epoch]).shuffle(order)
    for first in range(0, n if partial else n - size + 1, size):
        rows = order[first : first + size]
        yield tuple(np.array(array[rows]) for array in arrays)
