"""Toy densities made of two curves with normal noise."""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property

import numpy as np

from .density import Float, ToyDensity, log_normal_mixture


class NoisyCurves(ToyDensity):
    r"""Points of two curves, each as likely as the other, with isotropic normal noise.

    .. math::
        p(x) = \tfrac12 \sum_{k=0}^1 \int_0^1 N(x; c_k(u), \sigma^2 I)\, du

    A subclass gives the curves :math:`c_k`, the noise and the number of panels of the
    Gauss-Legendre rule that takes the integral: enough for an error of the log-density below 1e-11
    within the density's bounds. Far outside, where the density is below exp(-1000) or so, the error
    grows to 1e-5 of the log-density.
    """

    _std: float
    _panels: int
    _order = 32

    @abstractmethod
    def _curves(self, u: Float) -> tuple[Float, Float]:
        """The points at ``u`` in [0, 1], shape (m,), of either curve, shape (m, 2)."""

    def _sample(self, n: int, rng: np.random.Generator) -> Float:
        first, second = self._curves(rng.uniform(size=n))
        points = np.where(rng.integers(2, size=(n, 1)) == 0, first, second)
        return points + self._std * rng.standard_normal((n, 2))

    def _log_prob(self, x: Float) -> Float:
        points, weights = self._quadrature
        return log_normal_mixture(x, points, weights, self._std)

    @cached_property
    def _quadrature(self) -> tuple[Float, Float]:
        """Nodes on both curves, shape (m, 2), and their weights, shape (m,), of sum one."""
        # u = s², du = 2s ds, so that a curve which starts like √u is smooth in s too.
        edges = np.sqrt(np.linspace(0.0, 1.0, self._panels + 1))
        half_widths = np.diff(edges)[:, None] / 2.0
        nodes, weights = np.polynomial.legendre.leggauss(self._order)
        s = edges[:-1, None] + half_widths * (1.0 + nodes)
        du = half_widths * weights * 2.0 * s
        return np.concatenate(self._curves(s.ravel() ** 2)), np.tile(du.ravel() / 2.0, 2)


class Moons(NoisyCurves):
    r"""Two interleaved half circles.

    .. math::
        c_0(u) = 2 (\cos \pi u, \sin \pi u) - (1, 0.2), \quad
        c_1(u) = 2 (1 - \cos \pi u, \tfrac12 - \sin \pi u) - (1, 0.2), \quad \sigma = 0.2

    Examples
    --------
    >>> from cflows import data
    >>> data.toy("moons").log_prob([[-1.0, 1.8]]).round(4)
    array([-1.8393])
    """

    name = "moons"
    _std = 0.2
    _panels = 8

    def _curves(self, u: Float) -> tuple[Float, Float]:
        cos, sin = np.cos(np.pi * u), np.sin(np.pi * u)
        upper = np.column_stack([2.0 * cos - 1.0, 2.0 * sin - 0.2])
        lower = np.column_stack([1.0 - 2.0 * cos, 0.8 - 2.0 * sin])
        return upper, lower


class Circles(NoisyCurves):
    r"""Two concentric circles.

    .. math::
        c_k(u) = r_k (\cos 2 \pi u, \sin 2 \pi u), \quad r = (3, 1.5), \quad \sigma = 0.24

    Examples
    --------
    >>> from cflows import data
    >>> data.toy("circles").log_prob([[3.0, 0.0], [0.0, 3.0]]).round(4)
    array([-3.1207, -3.1207])
    """

    name = "circles"
    _std = 0.24
    _panels = 12

    def _curves(self, u: Float) -> tuple[Float, Float]:
        unit = np.column_stack([np.cos(2.0 * np.pi * u), np.sin(2.0 * np.pi * u)])
        return 3.0 * unit, 1.5 * unit


class Spirals(NoisyCurves):
    r"""Two arms of one and a half turns, one the half turn of the other.

    .. math::
        c_k(u) = \tfrac{(-1)^k}3 (-t \cos t, t \sin t), \quad t = 3 \pi \sqrt u, \quad \sigma = 0.1

    The original blurs the arms by a uniform step as well, of up to 1/6 in each coordinate; normal
    noise alone makes the density one integral.

    Examples
    --------
    >>> from cflows import data
    >>> data.toy("spirals").sample(3, seed=0).shape
    (3, 2)
    """

    name = "spirals"
    _std = 0.1
    _panels = 28

    def _curves(self, u: Float) -> tuple[Float, Float]:
        t = 3.0 * np.pi * np.sqrt(u)
        arm = np.column_stack([-t * np.cos(t), t * np.sin(t)]) / 3.0
        return arm, -arm
