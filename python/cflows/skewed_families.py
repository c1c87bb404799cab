"""Distribution functions of bases whose two tails differ, and their inverses."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .incomplete import beta_tail, gamma_tails, normal_area

__all__ = ["EXPONENTIAL", "GUMBEL", "Beta", "Components", "Gamma", "Skewed", "Truncated"]

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]

_log_gamma: Callable[[Float], NDArray[np.object_]] = np.frompyfunc(math.lgamma, 1, 1)

# log P(X <= x), log P(X > x) and the logarithm of the density.
_Tails = tuple[Float, Float, Float]


class Components(NamedTuple):
    """A base at m contexts: a mixture of its family, shape (m, components) each, and the shapes of
    a family that has some, shape (m, 2)."""

    weight: Float
    loc: Float
    scale: Float
    shapes: Float = np.ones((1, 2))


class Skewed(NamedTuple):
    """A distribution of z whose tails have inverses of their own."""

    cdf: Callable[[Float], Float]
    sf: Callable[[Float], Float]
    lower_quantile: Callable[[Float], Float]
    upper_quantile: Callable[[Float], Float]

    def probability(self, base: Components, u: Float, upper: Bool) -> Float:
        """``P(U <= u)`` or, where `upper`, ``P(U > u)``; shape (m,) all of them, one a context."""
        z = (u - base.loc[:, 0]) / base.scale[:, 0]
        return np.where(upper, self.sf(z), self.cdf(z))

    def point(self, base: Components, p: Float, upper: Bool) -> Float:
        """The u of that probability, shape (m, k), for p of shape (k,) between 0 and 1."""
        far, near = _nearer(p, upper)
        z = np.where(far, self.upper_quantile(near), self.lower_quantile(near))
        return base.loc + base.scale * z


class Gamma(NamedTuple):
    """The gamma distribution, by the logarithm."""

    def probability(self, base: Components, u: Float, upper: Bool) -> Float:
        """As that of `Skewed`."""
        lower, rest, _ = gamma_tails(base.shapes[:, 0], np.maximum(u / base.scale[:, 0], 0.0))
        return np.exp(np.where(upper, rest, lower))

    def point(self, base: Components, p: Float, upper: Bool) -> Float:
        """As that of `Skewed`."""
        far, near = _nearer(p, upper)
        shape = base.shapes[:, :1]
        log_p = np.log(near) + np.zeros(far.shape)
        # The lower tail is at most z^shape / gamma(shape + 1).
        low = (log_p + _log_gamma(shape + 1.0).astype(np.float64)) / shape - 1.0
        low = np.clip(low, -745.0, np.log(shape))
        high = np.log(shape + 50.0 * np.sqrt(shape) + 1500.0) + np.zeros(far.shape)
        log_z = _solved(lambda y: gamma_tails(shape, np.exp(y)), log_p, far, low, high)
        return base.scale * np.exp(log_z)


class Beta(NamedTuple):
    """The beta distribution, by the logit, of which both z and 1 - z are told."""

    def probability(self, base: Components, u: Float, upper: Bool) -> Float:
        """As that of `Skewed`."""
        lower, rest, _ = _beta_tails(u, base.shapes.T)
        return np.exp(np.where(upper, rest, lower))

    def point(self, base: Components, p: Float, upper: Bool) -> Float:
        """As that of `Skewed`."""
        far, near = _nearer(p, upper)
        shapes = base.shapes.T[..., None]
        log_p = np.log(near) + np.zeros(far.shape)
        end = np.full(far.shape, 740.0)

        def tails(y: Float) -> _Tails:
            small = np.exp(-np.abs(y))
            one, other = 1.0 / (1.0 + small), small / (1.0 + small)
            return _beta_tails_at(
                np.where(y < 0.0, other, one), np.where(y < 0.0, one, other), shapes
            )

        y = _solved(tails, log_p, far, -end, end)
        small = np.exp(-np.abs(y))
        return np.where(y < 0.0, small, 1.0) / (1.0 + small)


class Truncated(NamedTuple):
    """The normal distribution between two ends."""

    low: float
    high: float

    def probability(self, base: Components, u: Float, upper: Bool) -> Float:
        """As that of `Skewed`."""
        nearest, scale = np.clip(base.loc, self.low, self.high)[:, 0], base.scale[:, 0]
        lower, rest, _ = self._tails(base, (u - nearest) / scale)
        return np.exp(np.where(upper, rest, lower))

    def point(self, base: Components, p: Float, upper: Bool) -> Float:
        """As that of `Skewed`."""
        far, near = _nearer(p, upper)
        nearest = np.clip(base.loc, self.low, self.high)
        log_p = np.log(near) + np.zeros(far.shape)
        low, high = (np.clip((end - nearest) / base.scale, -40.0, 40.0) for end in self)
        shape = np.broadcast_shapes(far.shape, low.shape)
        low, high = np.broadcast_to(low, shape), np.broadcast_to(high, shape)
        t = _solved(lambda t: self._tails(base, t), log_p, far, low, high, 4e-16)
        return np.clip(nearest + base.scale * t, self.low, self.high)

    def _tails(self, base: Components, t: Float) -> _Tails:
        """Of ``t = (u - nearest) / scale``, nearest the point of the interval that is nearest to
        loc."""
        loc, scale = (array if t.ndim == 2 else array[:, 0] for array in base[1:3])
        nearest = np.clip(loc, self.low, self.high)
        tilt = (nearest - loc) / scale
        low, high = (self.low - nearest) / scale, (self.high - nearest) / scale
        t = np.clip(t, low, high)
        log_all = np.log(normal_area(low, high, tilt))
        with np.errstate(divide="ignore"):
            lower, upper = np.log(normal_area(low, t, tilt)), np.log(normal_area(t, high, tilt))
        return lower - log_all, upper - log_all, -t * (0.5 * t + tilt) - log_all


def _beta_tails(z: Float, shapes: Float) -> _Tails:
    z = np.clip(z, 0.0, 1.0)
    return _beta_tails_at(z, 1.0 - z, shapes)


def _beta_tails_at(z: Float, rest: Float, shapes: Float) -> _Tails:
    lower, log_density = beta_tail(shapes[0], shapes[1], z, rest)
    return lower, beta_tail(shapes[1], shapes[0], rest, z)[0], log_density


def _nearer(p: Float, upper: Bool) -> tuple[Bool, Float]:
    """Whether the upper tail is the nearer one, shape (m, k), and its or the other's probability,
    shape (k,)."""
    return (p > 0.5) != upper[:, None], np.minimum(p, 1.0 - p)


def _solved(
    tails: Callable[[Float], _Tails],
    log_p: Float,
    far: Bool,
    low: Float,
    high: Float,
    last_step: float = 1e-10,
) -> Float:
    """Where the upper tail, where it is `far`, or the lower one, has the logarithm log_p: Newton's
    steps while they stay in the bracket, halves of it else and now and then."""
    x, done = 0.5 * (low + high), np.zeros(np.shape(log_p), bool)
    for step in range(300):
        lower, upper, log_density = tails(x)
        log_tail = np.where(far, upper, lower)
        with np.errstate(over="ignore", invalid="ignore"):
            error = np.where(far, log_p - log_tail, log_tail - log_p)
            newton = x - error * np.exp(log_tail - log_density)
        low, high = np.where(error <= 0.0, x, low), np.where(error >= 0.0, x, high)
        inside = (newton >= low) & (newton <= high) & (step % 5 != 4)
        following = np.where(done, x, np.where(inside, newton, 0.5 * (low + high)))
        # Newton's error after a step is about the square of the step.
        near = np.where(inside, last_step, 4e-16) * np.maximum(np.abs(x), 1e-3)
        done |= np.abs(following - x) <= near
        done |= np.isnan(error)
        x = following
        if done.all():
            break
    return x


def _gumbel_sf(z: Float) -> Float:
    with np.errstate(over="ignore"):
        return -np.expm1(-np.exp(-z))


def _gumbel_cdf(z: Float) -> Float:
    with np.errstate(over="ignore"):
        return np.exp(-np.exp(-z))


GUMBEL = Skewed(
    _gumbel_cdf,
    _gumbel_sf,
    lambda p: -np.log(-np.log(p)),
    lambda p: -np.log(-np.log1p(-p)),
)

EXPONENTIAL = Skewed(
    lambda z: -np.expm1(-np.maximum(z, 0.0)),
    lambda z: np.exp(-np.maximum(z, 0.0)),
    lambda p: -np.log1p(-p),
    lambda p: -np.log(p),
)
