"""Toy densities made of a few normals."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .density import Float, ToyDensity, log_normal_mixture, log_sum_exp


class EightGaussians(ToyDensity):
    r"""Eight equally likely normals, evenly spaced on a circle.

    .. math::
        p(x) = \tfrac18 \sum_{k=0}^7 N(x; \mu_k, \sigma^2 I), \quad
        \mu_k = \tfrac4{\sqrt2} (\cos \tfrac{\pi k}4, \sin \tfrac{\pi k}4), \quad
        \sigma = \tfrac{0.5}{\sqrt2}

    Examples
    --------
    >>> from cflows import data
    >>> data.toy("eight_gaussians").log_prob([[4 / 2**0.5, 0.0]]).round(4)
    array([-1.8379])
    """

    name = "eight_gaussians"
    _std = 0.5 / math.sqrt(2.0)
    _angles = math.pi / 4.0 * np.arange(8)
    _means = 4.0 / math.sqrt(2.0) * np.column_stack([np.cos(_angles), np.sin(_angles)])
    _weights = np.full(8, 1.0 / 8.0)

    def _sample(self, n: int, rng: np.random.Generator) -> Float:
        means: Float = self._means[rng.integers(8, size=n)]
        return means + self._std * rng.standard_normal((n, 2))

    def _log_prob(self, x: Float) -> Float:
        return log_normal_mixture(x, self._means, self._weights, self._std)


class Pinwheel(ToyDensity):
    r"""Five normals, stretched along the radius and twisted into blades.

    With :math:`z \sim N((1, 0), \mathrm{diag}(0.3^2, 0.1^2))`, one blade :math:`k` of five, and
    :math:`R(\theta)` the turn by :math:`\theta`,

    .. math::
        x = 2 R(-\theta_k(|z|))\, z, \quad \theta_k(r) = \tfrac{2 \pi k}5 + \tfrac14 e^r

    .. math::
        p(x) = \tfrac1{20} \sum_{k=0}^4 p_z\bigl(R(\theta_k(|\tfrac x2|))\, \tfrac x2\bigr)

    The original (Johnson et al. 2016, arXiv:1603.06277) turns by :math:`e^{z_1} / 4`, which folds
    the plane over itself. The radius instead makes each blade's map a bijection of constant
    Jacobian, and moves a point by a hundredth in the mean.

    Examples
    --------
    >>> from cflows import data
    >>> data.toy("pinwheel").sample(3, seed=0).shape
    (3, 2)
    """

    name = "pinwheel"
    _blades = 5
    _mean = np.array([1.0, 0.0])
    _std = np.array([0.3, 0.1])

    def _sample(self, n: int, rng: np.random.Generator) -> Float:
        z = self._mean + self._std * rng.standard_normal((n, 2))
        return 2.0 * _turn(z, -self._angle(z, rng.integers(self._blades, size=n)))

    def _log_prob(self, x: Float) -> Float:
        z = x / 2.0
        blades = [_turn(z, self._angle(z, k)) for k in range(self._blades)]
        terms = [-0.5 * np.square((w - self._mean) / self._std).sum(axis=1) for w in blades]
        scale = 4.0 * self._blades * 2.0 * math.pi * math.prod(self._std)
        return log_sum_exp(np.column_stack(terms)) - math.log(scale)

    def _angle(self, z: Float, blade: NDArray[np.int64] | int) -> Float:
        # No sample has a radius of 30; the bound keeps exp finite for points to score.
        radius = np.minimum(np.hypot(z[:, 0], z[:, 1]), 30.0)
        return 2.0 * math.pi / self._blades * blade + 0.25 * np.exp(radius)


def _turn(x: Float, angle: Float) -> Float:
    """The rows of ``x``, shape (n, 2), turned anticlockwise by ``angle``, shape (n,)."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.column_stack([cos * x[:, 0] - sin * x[:, 1], sin * x[:, 0] + cos * x[:, 1]])
