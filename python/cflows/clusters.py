"""Clusters of rows by k-means, from which the members of a mixture begin."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .training_rows import TrainingRows

__all__ = ["clusters"]

Float = NDArray[np.float64]

_ROWS = 20_000  # among which the centres are found, evenly spaced
_AT_ONCE = 1 << 16
_ITERATIONS = 50
_TRIES = 5


def clusters(rows: TrainingRows, count: int, u: Float) -> NDArray[np.int64]:
    """Which cluster each row is in, by k-means in units of the columns' standard deviations.

    The centres are the best of a few tries, each from centres by k-means++ (Arthur and
    Vassilvitskii 2007).

    Parameters
    ----------
    rows : TrainingRows
    count : int
        How many clusters.
    u : ndarray, shape (tries, count)
        Uniform numbers on [0, 1), of the first centres.

    Returns
    -------
    ndarray of int64, shape (rows,)
    """
    chosen = np.linspace(0, len(rows) - 1, min(len(rows), _ROWS)).astype(np.int64)
    x = _numbers(rows, chosen)
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    deviation[deviation == 0.0] = 1.0
    x = (x - mean) / deviation
    weights = np.ones(len(x)) if rows.weights is None else rows.weights[chosen]
    tries = [_centres(x, weights, _first_centres(x, weights, own)) for own in u]
    centres = min(tries, key=lambda pair: pair[1])[0]
    found = np.empty(len(rows), np.int64)
    for first in range(0, len(rows), _AT_ONCE):
        some = np.arange(first, min(first + _AT_ONCE, len(rows)))
        found[some] = _distances((_numbers(rows, some) - mean) / deviation, centres).argmin(axis=1)
    return found


def numbers_for_clusters(count: int) -> tuple[int, int]:
    """The shape of the uniform numbers."""
    return _TRIES, count


def _numbers(rows: TrainingRows, chosen: NDArray[np.int64]) -> Float:
    x = rows.x[chosen if rows.index is None else rows.index[chosen]]
    return np.asarray(x, np.float64).reshape(len(chosen), -1)


def _distances(x: Float, centres: Float) -> Float:
    """Squared, of every row to every centre."""
    return np.stack([((x - centre) ** 2).sum(axis=1) for centre in centres], axis=1)


def _first_centres(x: Float, weights: Float, u: Float) -> Float:
    """Rows, each drawn by its squared distance from those before."""
    near = np.ones(len(x))
    centres: list[Float] = []
    for one in u:
        ends = np.cumsum(weights * near)
        row = int(np.searchsorted(ends, one * ends[-1], side="right"))
        centres.append(x[min(row, len(x) - 1)])
        distance = ((x - centres[-1]) ** 2).sum(axis=1)
        near = distance if len(centres) == 1 else np.minimum(near, distance)
        if not near.any():
            near = np.ones(len(x))
    return np.array(centres)


def _centres(x: Float, weights: Float, centres: Float) -> tuple[Float, float]:
    """Where the centres go by Lloyd's iteration, and the sum of squared distances from them."""
    for _ in range(_ITERATIONS):
        distances = _distances(x, centres)
        nearest = distances.argmin(axis=1)
        total = np.bincount(nearest, weights, minlength=len(centres))
        sums = [np.bincount(nearest, weights * column, minlength=len(centres)) for column in x.T]
        moved = np.where(total[:, None] > 0.0, np.array(sums).T, centres)
        moved /= np.where(total > 0.0, total, 1.0)[:, None]
        if (moved == centres).all():
            break
        centres = moved
    return centres, float(weights @ _distances(x, centres).min(axis=1))
