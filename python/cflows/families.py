"""Distribution functions of bases of one feature, and their inverses, in float64."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from . import _core, student_t
from .skewed_families import EXPONENTIAL, GUMBEL, Beta, Components, Gamma, Truncated

__all__ = ["Components", "Distribution", "Family", "family_of"]

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]

_erfc: Callable[[Float], NDArray[np.object_]] = np.frompyfunc(math.erfc, 1, 1)


class Distribution(Protocol):
    """Bases of one feature of one type."""

    def probability(self, base: Components, u: Float, upper: Bool) -> Float:
        """``P(U <= u)`` or, where `upper`, ``P(U > u)``; shape (m,) all of them, one a context."""

    def point(self, base: Components, p: Float, upper: Bool) -> Float:
        """The u of that probability, shape (m, k), for p of shape (k,) between 0 and 1."""


class Family(NamedTuple):
    """A distribution of z that is symmetric about `centre`.

    Attributes
    ----------
    cdf : callable
        ``P(Z <= z)``, with small relative errors where it is small.
    lower_quantile : callable
        Its inverse, for 0 < p <= 1/2.
    centre : float
    """

    cdf: Callable[[Float], Float]
    lower_quantile: Callable[[Float], Float]
    centre: float = 0.0

    def probability(self, base: Components, u: Float, upper: Bool) -> Float:
        """``P(U <= u)`` or, where `upper`, ``P(U > u)``; shape (m,) all of them, one a context.

        The upper tail is the lower one of -U: neither is computed as 1 - the other.
        """
        sign, loc = self._turned(base.loc, base.scale, upper[:, None])
        z = (sign * u[:, None] - loc) / base.scale
        total: Float = (base.weight * self.cdf(z)).sum(axis=1)
        return np.minimum(total, 1.0)

    def point(self, base: Components, p: Float, upper: Bool) -> Float:
        """The u of that probability, shape (m, k), for p of shape (k,) between 0 and 1."""
        weight, loc, scale = (array[:, None, :] for array in base[:3])
        far = (p > 0.5) != upper[:, None]
        sign, loc = self._turned(loc, scale, far[..., None])
        p = np.minimum(p, 1.0 - p)
        points = loc + scale * self.lower_quantile(p)[:, None]
        # The quantile of a mixture lies between those of its components.
        low, high = points.min(axis=-1), points.max(axis=-1)
        mixed = loc.shape[-1] > 1
        u = _solved(weight, loc, scale, p, low, high) if mixed else low
        return sign[..., 0] * u

    def _turned(self, loc: Float, scale: Float, upper: Bool) -> tuple[Float, Float]:
        """-1 where U is turned into -U, else 1; and the loc that it then has."""
        sign = np.where(upper, -1.0, 1.0)
        return sign, np.where(upper, -loc - 2.0 * self.centre * scale, loc)


def _solved(weight: Float, loc: Float, scale: Float, p: Float, low: Float, high: Float) -> Float:
    """Where the logarithm of the cdf of a mixture of normals, the only ones there are, is log(p):
    Newton's steps while they stay in the bracket, halves of it else and now and then."""
    u, done = 0.5 * (low + high), np.zeros(low.shape, bool)
    for step in range(200):
        z = (u[..., None] - loc) / scale
        cdf = (weight * _normal_cdf(z)).sum(axis=-1)
        density = (weight / scale * np.exp(-0.5 * z * z)).sum(axis=-1) / math.sqrt(2.0 * math.pi)
        with np.errstate(divide="ignore", invalid="ignore"):
            newton = u - (np.log(cdf) - np.log(p)) * cdf / density
        low, high = np.where(cdf <= p, u, low), np.where(cdf >= p, u, high)
        inside = (newton >= low) & (newton <= high) & (step % 5 != 4)
        u_next = np.where(done, u, np.where(inside, newton, 0.5 * (low + high)))
        # Newton's error after a step is about the square of the step.
        near = np.where(inside, 1e-10, 2e-16) * np.maximum(np.abs(u), scale.min(axis=-1))
        done |= np.abs(u_next - u) <= near
        u = u_next
        if done.all():
            break
    return u


def family_of(base: _core.Base) -> Distribution:
    """That of a base of one feature."""
    if base.type == "Product":
        return family_of(base.options["bases"][0])
    if base.type == "StudentT":
        df = base.options["df"]
        return Family(partial(_student_cdf, df=df), partial(_student_quantile, df=df))
    if base.type == "TruncatedNormal":
        low, high = base.options["low"], base.options["high"]
        return Truncated(_number(low, -math.inf), _number(high, math.inf))
    return _FAMILIES[base.type]


def _number(option: Any, default: float) -> float:
    """That of the first feature."""
    if option is None:
        return default
    return float(option[0] if isinstance(option, tuple) else option)


def _normal_cdf(z: Float) -> Float:
    return 0.5 * _erfc(-z / math.sqrt(2.0)).astype(np.float64)


def _normal_lower_quantile(p: Float) -> Float:
    # Wichura's algorithm AS241. Its module is slow to import.
    from statistics import NormalDist

    inverse = NormalDist().inv_cdf
    return np.array([inverse(number) for number in p.tolist()], np.float64)


def _logistic_cdf(z: Float) -> Float:
    small = np.exp(-np.abs(z))
    return np.where(z < 0.0, small, 1.0) / (1.0 + small)


def _laplace_cdf(z: Float) -> Float:
    half = 0.5 * np.exp(-np.abs(z))
    return np.where(z < 0.0, half, 1.0 - half)


def _student_cdf(z: Float, df: float) -> Float:
    tail = student_t.lower_tail(-np.abs(z), df, _normal_cdf)
    return np.where(z < 0.0, tail, 1.0 - tail)


def _student_quantile(p: Float, df: float) -> Float:
    return student_t.lower_quantile(p, df, _normal_lower_quantile)


_NORMAL = Family(_normal_cdf, _normal_lower_quantile)
_FAMILIES: dict[str, Distribution] = {
    "Normal": _NORMAL,
    "FullNormal": _NORMAL,
    "Mixture": _NORMAL,
    "Logistic": Family(_logistic_cdf, lambda p: np.log(p) - np.log1p(-p)),
    "Laplace": Family(_laplace_cdf, lambda p: np.log(2.0 * p)),
    "Gumbel": GUMBEL,
    "Exponential": EXPONENTIAL,
    "Gamma": Gamma(),
    "Beta": Beta(),
    "Uniform": Family(lambda z: np.clip(z, 0.0, 1.0), lambda p: p, centre=0.5),
}
