"""What the numbers of columns tell of them, from some rows of a table."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "are_in_groups",
    "are_too_fine",
    "are_whole",
    "collinear",
    "effective_rows",
    "far_shares",
    "have_few_values",
    "have_one_value_often",
    "moments",
    "digests",
    "share_of_circle",
]

Float = NDArray[np.float64]
Flags = NDArray[np.bool_]

WHOLE_RANGE = 2.0**30  # up to which numbers without fractions are taken for integers
MOSTLY = 0.95  # the share of numbers that says what a column holds
FEW = 200  # values, each of several rows: rounded numbers
OFTEN = 0.02  # the share of rows that one value may have
OFTEN_AMONG_DIFFERENT = 0.002  # the same where most others are different
FAR = 30.0  # interquartile ranges from the median
GROUP, APART = 0.02, 20.0  # the least share of a group; standard deviations between two
ROUNDED = 1e-2  # the share of a column's spread that its rounding may have


def are_whole(x: Float) -> Flags:
    """Columns of integers, over a range in which their spacing matters: large floats are whole
    whatever they count."""
    whole = (x == np.round(x)).mean(axis=0) >= MOSTLY
    return np.asarray(whole & (np.ptp(x, axis=0) < WHOLE_RANGE))


def have_few_values(x: Float) -> Flags:
    """Columns of few different numbers, with several rows each."""
    counts = np.array([len(np.unique(column)) for column in x.T])
    return np.asarray((counts <= FEW) & (5 * counts < len(x)))


def have_one_value_often(x: Float) -> Flags:
    """Columns of which many rows have one value, or more than a few if most have one of their
    own."""
    found = np.zeros(x.shape[1], bool)
    for i, column in enumerate(x.T):
        counts = np.unique(column, return_counts=True)[1]
        different = 2 * len(counts) > len(x)
        share = OFTEN_AMONG_DIFFERENT if different else OFTEN
        found[i] = counts.max() > max(4, share * len(x))
    return found


def far_shares(z: Float) -> Float:
    """By column, the share of numbers that are far from the others, which set the scale."""
    if len(z) == 0:
        return np.zeros(z.shape[1], np.float64)
    low, middle, high = np.quantile(z, [0.25, 0.5, 0.75], axis=0)
    far = (np.abs(z - middle) > FAR * (high - low)).mean(axis=0)
    return np.asarray(np.where(high > low, far, 0.0), np.float64)


def are_in_groups(z: Float) -> Flags:
    """Columns of two groups, neither of a few rows, that are far apart beside their widths."""
    found = np.zeros(z.shape[1], bool)
    ordered = np.sort(z, axis=0)
    few = int(GROUP * len(z))
    for i, column in enumerate(ordered.T):
        gaps = np.diff(column)
        cut = int(gaps.argmax()) + 1 if len(gaps) else 0
        if few <= cut <= len(column) - few and cut > 1:
            widths = column[:cut].std(), column[cut:].std()
            found[i] = min(widths) > 0.0 and gaps[cut - 1] > APART * max(widths)
    return found


def moments(z: Float) -> tuple[Float, Float, Float, Float]:
    """Mean, deviation, median and interquartile range of each column."""
    low, middle, high = np.quantile(z, [0.25, 0.5, 0.75], axis=0)
    return z.mean(axis=0), z.std(axis=0), middle, high - low


def are_too_fine(z: Float, dtype: np.dtype[Any]) -> Flags:
    """Columns in which numbers of the dtype are so far apart that the spread is rounded."""
    if len(z) == 0:
        return np.zeros(z.shape[1], bool)
    _, deviation, _, range_ = moments(z)
    spread = np.where(range_ > 0.0, range_, deviation)
    size = np.median(np.abs(z), axis=0)
    varying = np.ptp(z, axis=0) > 0.0
    return np.asarray(varying & (np.finfo(dtype).eps * size > ROUNDED * spread))


def collinear(z: Float, least: float) -> list[int]:
    """The columns of the direction in which there is no more than the least variance, as a share of
    that of independent columns."""
    columns = z.shape[1]
    if columns < 2 or len(z) < 2 * columns:
        return []
    centred = z - z.mean(axis=0)  # the squares of large numbers would overflow
    scale = np.abs(centred).max(axis=0)
    if (scale == 0.0).any() or not np.isfinite(scale).all():
        return []
    scaled = centred / scale
    scaled /= np.sqrt((scaled**2).sum(axis=0))
    values, vectors = np.linalg.eigh(scaled.T @ scaled)  # of the correlations
    if values[0] > least:
        return []
    weights = np.abs(vectors[:, 0])
    return [int(i) for i in np.flatnonzero(weights > 0.1 * weights.max())]


def digests(table: Float) -> NDArray[np.uint64]:
    """A number for each row, the same for equal rows and hardly for others."""
    bits = np.ascontiguousarray(table + 0.0).view(np.uint64)  # of -0 as of 0
    bits = bits ^ (bits >> np.uint64(32))  # the last bits of round numbers are zeros
    odd = np.random.default_rng(0).integers(0, 2**63, table.shape[1], np.uint64)
    return np.asarray((bits * (2 * odd + 1)).sum(axis=1, dtype=np.uint64))


def share_of_circle(angles: Float) -> float:
    """The share of the circle that the shortest arc around the angles has."""
    ordered = np.sort(np.mod(angles, 2 * math.pi))
    gaps = np.diff(ordered, append=ordered[0] + 2 * math.pi)
    return float(1.0 - gaps.max() / (2 * math.pi))


def effective_rows(weights: Float) -> float:
    """Kish's number of rows: those of one weight that tell as much."""
    if len(weights) == 0:
        return 0.0
    shares = weights / weights.max()
    return float(shares.sum() ** 2 / (shares**2).sum())
