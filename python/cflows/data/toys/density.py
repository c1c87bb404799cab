"""The base class of toy densities, and the mixture of normals that scores most of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float = NDArray[np.float64]


class ToyDensity(ABC):
    """A density on the plane that can be sampled and scored exactly.

    Attributes
    ----------
    name : str
        The key of the density in `cflows.data.TOYS`.
    bounds : tuple of tuple of float
        ``((x_min, x_max), (y_min, y_max))``, the square to draw.
    """

    name: ClassVar[str]
    bounds = ((-4.0, 4.0), (-4.0, 4.0))

    def sample(self, n: int, seed: int | np.random.Generator | None = None) -> Float:
        """Draw points.

        Parameters
        ----------
        n : int
            Number of points; zero is legal.
        seed : int, numpy.random.Generator or None
            The same integer gives the same points; None gives fresh ones.

        Returns
        -------
        ndarray of float64, shape (n, 2)

        Raises
        ------
        ValueError
            If ``n`` is negative.
        """
        if n < 0:
            raise ValueError(f"the number of samples cannot be negative: got {n}")
        return self._sample(n, np.random.default_rng(seed))

    def log_prob(self, x: ArrayLike) -> Float:
        """Log-density, in nats.

        Parameters
        ----------
        x : array_like, shape (n, 2)

        Returns
        -------
        ndarray of float64, shape (n,)
            -inf where the density is zero, NaN for a row that is not finite.

        Raises
        ------
        ValueError
            If ``x`` does not have two columns.
        """
        points = np.asarray(x, dtype=np.float64)
        if points.ndim != 2 or points.shape[1] != 2:
            raise ValueError(f"{self.name} is two-dimensional: expected (n, 2), got {points.shape}")
        log_prob = np.full(len(points), np.nan)
        finite = np.isfinite(points).all(axis=1)
        log_prob[finite] = self._log_prob(points[finite])
        return log_prob

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    @abstractmethod
    def _sample(self, n: int, rng: np.random.Generator) -> Float: ...

    @abstractmethod
    def _log_prob(self, x: Float) -> Float: ...


def log_sum_exp(terms: Float) -> Float:
    """``log Σ_j exp terms[i, j]``, (n, m) to (n,), safe from overflow; overwrites ``terms``."""
    peak: Float = terms.max(axis=1)
    terms -= peak[:, None]
    # Smaller terms do not change the sum, and their exp may underflow, which is ten times slower.
    np.maximum(terms, -700.0, out=terms)
    total: Float = np.exp(terms, out=terms).sum(axis=1)
    return peak + np.log(total)


def log_normal_mixture(x: Float, means: Float, weights: Float, std: float) -> Float:
    """Log-density of ``Σ_j weights[j] N(means[j], std² I)`` in the plane.

    Shapes: ``x`` (n, 2), ``means`` (m, 2), ``weights`` (m,), the result (n,).
    """
    # -|x - μ|² / 2σ² = x·μ/σ² - |μ|² / 2σ² - |x|² / 2σ²: the last term is the same for every
    # component, the first two are one product of (x, 1) with a matrix of shape (3, m).
    constant = np.log(weights) - np.square(means).sum(axis=1) / (2.0 * std**2)
    matrix = np.vstack([means.T / std**2, constant])
    log_prob: Float = -np.square(x).sum(axis=1) / (2.0 * std**2) - np.log(2.0 * np.pi * std**2)
    # In blocks of rows, so that the (rows, m) terms stay in cache and memory does not grow with n.
    block = max(1, 2**16 // len(means))
    for start in range(0, len(x), block):
        rows = slice(start, start + block)
        log_prob[rows] += log_sum_exp(np.insert(x[rows], 2, 1.0, axis=1) @ matrix)
    return log_prob
