"""What the numbers of columns tell of them, from some rows of a table."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Columns", "collinear", "digests", "effective_rows", "share_of_circle"]

Float = NDArray[np.float64]
Flags = NDArray[np.bool_]

WHOLE_RANGE = 2.0**30  # up to which numbers without fractions are taken for integers
MOSTLY = 0.95  # the share of numbers that says what a column holds
FEW = 200  # values, each of several rows: rounded numbers
OFTEN = 0.02  # the share of rows that one value may have
OFTEN_AMONG_DIFFERENT = 0.002  # the same where most others are different
FAR = 30.0  # interquartile ranges from the median
OFFSET, SPAN = 10.0, 30.0  # of columns that a flow sees, beside 0 and 1
GROUP, APART = 0.02, 20.0  # the least share of a group; standard deviations between two
ROUNDED = 1e-2  # the share of a column's spread that its rounding may have


class Columns:
    """Columns of finite numbers, as rows of `columns`, with each sorted once."""

    def __init__(self, x: Float) -> None:
        self.columns = np.ascontiguousarray(x.T)
        self.rows = len(x)

    @cached_property
    def ordered(self) -> Float:
        return np.sort(self.columns, axis=1)

    @cached_property
    def gaps(self) -> Float:
        """Between neighbours in order."""
        return np.diff(self.ordered, axis=1)

    @cached_property
    def ranges(self) -> Float:
        if self.rows == 0:
            return np.zeros(len(self.columns), np.float64)
        return np.asarray(self.ordered[:, -1] - self.ordered[:, 0])

    @cached_property
    def medians(self) -> Float:
        return self._quantiles(0.5)

    @cached_property
    def interquartile_ranges(self) -> Float:
        return self._quantiles(0.75) - self._quantiles(0.25)

    @cached_property
    def deviations(self) -> Float:
        return np.asarray(self.columns.std(axis=1))

    def _quantiles(self, share: float) -> Float:
        position = share * (self.rows - 1)
        i = min(int(position), self.rows - 1)
        low, high = self.ordered[:, i], self.ordered[:, min(i + 1, self.rows - 1)]
        return np.asarray(low + (position - i) * (high - low))

    def vary(self) -> Flags:
        return self.ranges > 0.0

    def are_whole(self) -> Flags:
        """Integers, over a range in which their spacing matters: large floats are whole whatever
        they count."""
        whole = (self.columns == np.rint(self.columns)).mean(axis=1) >= MOSTLY
        return np.asarray(whole & (self.ranges < WHOLE_RANGE))

    def have_few_values(self) -> Flags:
        """Few different numbers, with several rows each."""
        counts = 1 + np.count_nonzero(self.gaps, axis=1)
        return np.asarray((counts <= FEW) & (5 * counts < self.rows))

    def have_one_value_often(self) -> Flags:
        """Many rows have one value, or more than a few if most have one of their own."""
        found = np.zeros(len(self.columns), bool)
        for i, gaps in enumerate(self.gaps):
            firsts = np.flatnonzero(gaps)
            different = 2 * (len(firsts) + 1) > self.rows
            share = OFTEN_AMONG_DIFFERENT if different else OFTEN
            longest = np.diff(firsts, prepend=-1, append=self.rows - 1).max()
            found[i] = longest > max(4, share * self.rows)
        return found

    def far_shares(self) -> Float:
        """The share of numbers that are far from the others, which set the scale."""
        reach = FAR * self.interquartile_ranges[:, None]
        far = np.abs(self.columns - self.medians[:, None]) > reach
        return np.asarray(np.where(reach[:, 0] > 0.0, far.mean(axis=1), 0.0), np.float64)

    def are_in_groups(self) -> Flags:
        """Two groups, neither of a few rows, that are far apart beside their widths."""
        found = np.zeros(len(self.columns), bool)
        few = int(GROUP * self.rows)
        cuts = self.gaps.argmax(axis=1) + 1
        for i in np.flatnonzero((cuts >= few) & (cuts <= self.rows - few) & (cuts > 1)):
            column, cut = self.ordered[i], cuts[i]
            widths = column[:cut].std(), column[cut:].std()
            found[i] = min(widths) > 0.0 and self.gaps[i, cut - 1] > APART * max(widths)
        return found

    def are_off(self) -> Flags:
        """Far from 0, or of a scale far from 1, by moments and by quantiles."""
        deviations, ranges = self.deviations, self.interquartile_ranges
        large = np.minimum(deviations, ranges) > SPAN
        small = np.maximum(deviations, ranges) < 1.0 / SPAN
        far = np.minimum(np.abs(self.columns.mean(axis=1)), np.abs(self.medians)) > OFFSET
        return np.asarray(large | small | far)

    def are_too_fine(self, dtype: np.dtype[Any]) -> Flags:
        """Numbers of the dtype are so far apart that the spread is rounded."""
        spread = np.where(
            self.interquartile_ranges > 0.0, self.interquartile_ranges, self.deviations
        )
        size = np.median(np.abs(self.columns), axis=1)
        return np.asarray(self.vary() & (np.finfo(dtype).eps * size > ROUNDED * spread))


def collinear(columns: Float, least: float) -> list[int]:
    """The columns of the direction in which there is no more than the least variance, as a share of
    that of independent columns."""
    count, rows = columns.shape
    if count < 2 or rows < 2 * count:
        return []
    # The squares of large numbers would overflow.
    centred = columns - columns.mean(axis=1, keepdims=True)
    scale = np.abs(centred).max(axis=1, keepdims=True)
    if (scale == 0.0).any() or not np.isfinite(scale).all():
        return []
    scaled = centred / scale
    scaled /= np.sqrt((scaled**2).sum(axis=1, keepdims=True))
    values, vectors = np.linalg.eigh(scaled @ scaled.T)  # of the correlations
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
