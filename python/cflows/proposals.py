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
    """

    def __init__(self, mean: Float, covariance: Float) -> None:
        self.mean, self.covariance = mean, covariance

    @classmethod
    def of_rows(cls, rows: Float) -> Proposals:
        """That of the normal distribution of maximum likelihood, of rows that may have NaN.

        By expectation and maximisation (Dempster, Laird and Rubin 1977, section 4.1.3).
        """
        if len(rows) > ROWS:
            rows = rows[np.linspace(0, len(rows) - 1, ROWS).astype(np.int64)]
        rows = rows[~np.isinf(rows).any(axis=1) & ~np.isnan(rows).all(axis=1)]
        seen = ~np.isnan(rows)
        counts = np.maximum(seen.sum(axis=0), 1)
        mean = np.where(seen, rows, 0.0).sum(axis=0) / counts
        variance = np.where(seen, (rows - mean) ** 2, 0.0).sum(axis=0) / counts
        proposals = cls(mean, np.diag(np.where(variance > 0.0, variance, 1.0)))
        for _ in range(STEPS if not seen.all() else 1):
            proposals = proposals._maximized(rows)
        return proposals

    def _maximized(self, rows: Float) -> Proposals:
        """One step."""
        expected, spread = rows.copy(), np.zeros_like(self.covariance)
        for pattern, group in _patterns(rows):
            if not pattern.any():
                continue
            given = self._given(pattern)
            expected[np.ix_(group, pattern)] = self._means(rows[group], pattern, given)
            spread[np.ix_(pattern, pattern)] += len(group) * given.covariance
        mean = expected.mean(axis=0)
        centred = expected - mean
        covariance = (centred.T @ centred + spread) / max(1, len(rows))
        variance = np.diag(covariance)
        return Proposals(
            mean, covariance + RIDGE * np.diag(np.where(variance > 0.0, variance, 1.0))
        )

    def _given(self, missing: NDArray[np.bool_]) -> _Conditional:
        of, cross = self.covariance, self.covariance[np.ix_(missing, ~missing)]
        slopes = np.linalg.solve(of[np.ix_(~missing, ~missing)], cross.T).T
        return _Conditional(slopes, of[np.ix_(missing, missing)] - slopes @ cross.T)

    def _means(self, rows: Float, missing: NDArray[np.bool_], given: _Conditional) -> Float:
        far = rows[:, ~missing] - self.mean[~missing]
        return np.asarray(self.mean[missing] + far @ given.slopes.T)

    def draw(
        self, rows: Float, draws: int, rng: np.random.Generator, former: Float | None = None
    ) -> tuple[Float, Float]:
        """Completed rows, (n, draws, d), and the log-density of what was drawn, (n, draws).

        The first draw is what `former`, if there is one, has: complete rows, (n, d).
        """
        completed = np.repeat(rows[:, None], draws, axis=1)
        log_density = np.zeros(completed.shape[:2])
        for missing, group in _patterns(rows):
            if not missing.any():
                continue
            given, d = self._given(missing), int(missing.sum())
            factor = np.linalg.cholesky(given.covariance)
            normal = rng.normal(size=(len(group), draws, d))
            narrowing = rng.chisquare(DEGREES, size=(len(group), draws)) / DEGREES
            t = normal / np.sqrt(narrowing)[..., None]
            means = self._means(rows[group], missing, given)
            if former is not None:
                t[:, 0] = np.linalg.solve(factor, (former[group][:, missing] - means).T).T
            completed[np.ix_(group, np.arange(draws), missing)] = means[:, None] + t @ factor.T
            log_det = float(np.log(np.diag(factor)).sum())
            log_density[group] = _log_t((t**2).sum(axis=-1), d) - log_det
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
