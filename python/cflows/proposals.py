"""Proposals for missing numbers: Student's t around a normal distribution's conditional mean."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Proposals"]

Float = NDArray[np.float64]

DEGREES = 5  # of freedom: tails that are longer than the flow's
ROWS = 10_000  # that the normal distribution is made from, evenly spaced
STEPS = 30  # of expectation and maximisation
RIDGE = 1e-6  # of the variances, added to them


class _Conditional(NamedTuple):
    """Of missing columns given the observed ones: ``mean_m + slopes (z_o - mean_o)``."""

    slopes: Float
    covariance: Float


class Proposals:
    """A distribution of missing columns given the others.

    Parameters
    ----------
    mean : ndarray, shape (d,)
    covariance : ndarray, shape (d, d)
    circular : ndarray of bool, shape (k,), k <= d
        Which columns are angles: where they are missing they are uniform on [-pi, pi], and do not
        help with others.
    """

    def __init__(self, mean: Float, covariance: Float, circular: NDArray[np.bool_]) -> None:
        self.mean, self.covariance = mean, covariance
        self.circular = np.pad(circular, (0, len(mean) - len(circular)))

    @classmethod
    def of_rows(cls, rows: Float, circular: NDArray[np.bool_]) -> Proposals:
        """That of the normal distribution of maximum likelihood, of rows that may have NaN.

        By expectation and maximisation (Dempster, Laird and Rubin 1977, section 4.1.3).
        """
        if len(rows) > ROWS:
            rows = rows[np.linspace(0, len(rows) - 1, ROWS).astype(np.int64)]
        rows = rows[~np.isinf(rows).any(axis=1) & ~np.isnan(rows).all(axis=1)]
        if len(rows) == 0:
            raise ValueError("x has no row with a number: there is nothing to learn from")
        seen = ~np.isnan(rows)
        counts = np.maximum(seen.sum(axis=0), 1)
        mean = np.where(seen, rows, 0.0).sum(axis=0) / counts
        variance = np.where(seen, (rows - mean) ** 2, 0.0).sum(axis=0) / counts
        proposals = cls(mean, np.diag(np.where(variance > 0.0, variance, 1.0)), circular)
        for _ in range(STEPS if not seen.all() else 1):
            proposals = proposals._maximized(rows)
        return proposals

    def _maximized(self, rows: Float) -> Proposals:
        """One step."""
        expected, spread = rows.copy(), np.zeros_like(self.covariance)
        for pattern, group in _patterns(rows):
            if not pattern.any():
                continue
            given = self._given(pattern, ~pattern)
            expected[np.ix_(group, pattern)] = self._means(rows[group], pattern, given)
            spread[np.ix_(pattern, pattern)] += len(group) * given.covariance
        mean = expected.mean(axis=0)
        centred = expected - mean
        covariance = (centred.T @ centred + spread) / max(1, len(rows))
        variance = np.diag(covariance)
        ridge = RIDGE * np.diag(np.where(variance > 0.0, variance, 1.0))
        return Proposals(mean, covariance + ridge, self.circular)

    def _given(self, missing: NDArray[np.bool_], seen: NDArray[np.bool_]) -> _Conditional:
        of, cross = self.covariance, self.covariance[np.ix_(missing, seen)]
        slopes = np.linalg.solve(of[np.ix_(seen, seen)], cross.T).T
        return _Conditional(slopes, of[np.ix_(missing, missing)] - slopes @ cross.T)

    def _means(
        self,
        rows: Float,
        missing: NDArray[np.bool_],
        given: _Conditional,
        seen: NDArray[np.bool_] | None = None,
    ) -> Float:
        seen = ~missing if seen is None else seen
        far = rows[:, seen] - self.mean[seen]
        return np.asarray(self.mean[missing] + far @ given.slopes.T)

    def draw(
        self,
        rows: Float,
        draws: int,
        rng: np.random.Generator,
        former: Float | None = None,
        heavy: bool = True,
    ) -> tuple[Float, Float]:
        """Completed rows, (n, draws, d), and the log-density of what was drawn, (n, draws).

        The first draw is what `former`, if there is one, has: complete rows, (n, d). Not `heavy`,
        numbers are drawn from the normal distribution itself, and their density is not told.
        """
        completed = np.repeat(rows[:, None], draws, axis=1)
        log_density = np.zeros(completed.shape[:2])
        if former is not None:
            completed[:, 0] = former
        for missing, group in _patterns(rows):
            angles, linear = missing & self.circular, missing & ~self.circular
            size = (len(group), draws)
            turns = rng.uniform(-math.pi, math.pi, size=(*size, int(angles.sum())))
            noise = rng.normal(size=(*size, int(linear.sum())))
            if heavy:
                noise /= np.sqrt(rng.chisquare(DEGREES, size=size) / DEGREES)[..., None]
            given = self._given(linear, ~missing)
            factor = np.linalg.cholesky(given.covariance)
            means = self._means(rows[group], linear, given, ~missing)
            first = 0 if former is None else 1
            if first:
                noise[:, 0] = np.linalg.solve(factor, (completed[group, 0][:, linear] - means).T).T
            which = np.arange(first, draws)
            drawn = means[:, None] + noise @ factor.T
            completed[np.ix_(group, which, linear)] = drawn[:, first:]
            completed[np.ix_(group, which, angles)] = turns[:, first:]
            log_det = float(np.log(np.diag(factor)).sum())
            log_density[group] = _log_t((noise**2).sum(axis=-1), noise.shape[-1]) - log_det
            log_density[group] -= angles.sum() * math.log(2 * math.pi)
        return completed, log_density


def _log_t(square: Float, d: int) -> Float:
    """The log-density of Student's t in d dimensions at a squared distance from its middle."""
    constant = math.lgamma((DEGREES + d) / 2) - math.lgamma(DEGREES / 2)
    constant -= 0.5 * d * math.log(DEGREES * math.pi)
    return np.asarray(constant - 0.5 * (DEGREES + d) * np.log1p(square / DEGREES))


def _patterns(rows: Float) -> list[tuple[NDArray[np.bool_], NDArray[np.int64]]]:
    """The different sets of missing columns, and the rows that have each."""
    patterns, which = np.unique(np.isnan(rows), axis=0, return_inverse=True)
    order = np.argsort(which.ravel(), kind="stable")
    ends = np.cumsum(np.bincount(which.ravel(), minlength=len(patterns)))
    return [(p, group) for p, group in zip(patterns, np.split(order, ends[:-1]), strict=True)]
