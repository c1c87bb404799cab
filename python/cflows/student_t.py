"""The distribution function of Student's t and its inverse, to the ends of both tails."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["fraction", "lower_quantile", "lower_tail"]

Float = NDArray[np.float64]

# Beyond, Hill's expansion, of order df**-3 in its error, is exact in float64.
_MANY = 1e4
_STEPS = 500  # of the continued fraction, which takes about sqrt(df)


def lower_tail(z: Float, df: float, normal: Callable[[Float], Float]) -> Float:
    """``P(Z <= z)`` for z <= 0; `normal` is that of the standard normal.

    References
    ----------
    Hill 1970, Algorithm 395: Student's t-distribution, Communications of the ACM 13(10).
    """
    s = np.arcsinh(np.abs(z) / math.sqrt(df))
    if df > _MANY:
        return normal(-_normal_of(2.0 * (df - 0.5) * _log_cosh(s), df))
    return np.exp(_log_tail(s, df))


def lower_quantile(p: Float, df: float, normal_quantile: Callable[[Float], Float]) -> Float:
    """The z <= 0 with ``P(Z <= z) = p``, for 0 < p <= 1/2."""
    if df > _MANY:
        wanted = -normal_quantile(p)
        y = wanted**2
        for _ in range(4):  # each makes the error smaller by a factor of df
            y = (wanted * np.sqrt(y) / np.maximum(_normal_of(y, df), 1e-300)) ** 2
        return -np.sqrt(df * np.expm1(y / (df - 0.5)))
    # In s = arcsinh(z / sqrt(df)) the logarithm of the tail is concave: Newton's steps overshoot
    # once, then come back to the root from one side, wherever they start.
    s, log_p = np.zeros_like(p), np.log(p)
    for _ in range(100):
        log_tail = _log_tail(s, df)
        log_slope = 0.5 * math.log(df) + _log_normalizer(df) - df * _log_cosh(s)
        step = (log_tail - log_p) * np.exp(log_tail - log_slope)
        s = s + step
        if not np.any(np.abs(step) > 1e-15 * s):
            break
    with np.errstate(over="ignore"):  # of few degrees of freedom
        return -math.sqrt(df) * np.sinh(s)


def _log_cosh(s: Float) -> Float:
    near = 0.5 * np.log1p(np.sinh(np.minimum(s, 1.0)) ** 2)
    return np.where(s < 1.0, near, s + np.log1p(np.exp(-2.0 * s)) - math.log(2.0))


def _normal_of(y: Float, df: float) -> Float:
    """Hill's normal number as far out, from ``y = (df - 1/2) log(1 + z**2 / df)``."""
    b = 48.0 * (df - 0.5) ** 2
    curve = ((-0.4 * y - 3.3) * y - 24.0) * y - 85.5
    return np.sqrt(y) * (1.0 + (curve / (0.8 * y * y + 100.0 + b) + y + 3.0) / b)


def _log_tail(s: Float, df: float) -> Float:
    """``log P(Z > sqrt(df) sinh(s))`` for s >= 0: half the incomplete beta function of (df / 2,
    1 / 2) at ``cosh(s)**-2``."""
    a, log_cosh = 0.5 * df, _log_cosh(s)
    x, rest = np.exp(-2.0 * log_cosh), np.tanh(s) ** 2
    log_front = (
        _log_normalizer(df)
        + 0.5 * math.log(df)
        - df * log_cosh
        + np.log(np.maximum(np.tanh(s), 1e-300))
    )
    far = x < (a + 1.0) / (a + 2.5)
    log_far = log_front - math.log(df) + np.log(fraction(a, 0.5, np.where(far, x, 0.0)))
    near = (
        2.0 * np.exp(np.where(far, -np.inf, log_front)) * fraction(0.5, a, np.where(far, 0.0, rest))
    )
    return np.where(far, log_far, np.log(0.5 * (1.0 - near)))


def fraction(a: float | Float, b: float | Float, x: Float) -> Float:
    """The continued fraction of the incomplete beta function, by Lentz's method.

    References
    ----------
    Press et al. 2007, Numerical recipes, section 6.4.
    """
    c, d = np.ones_like(x), 1.0 / (1.0 - (a + b) * x / (a + 1.0))
    value: Float = d.copy()
    for m in range(1, _STEPS):
        even = m * (b - m) / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) / ((a + 2 * m) * (a + 2 * m + 1))
        for number in (even, odd):
            d = 1.0 / (1.0 + number * x * d)
            c = 1.0 + number * x / c
            value *= c * d
        if np.all(np.abs(c * d - 1.0) < 3e-16):
            break
    return value


def _log_normalizer(df: float) -> float:
    """The logarithm of the density at 0: log gamma((df + 1) / 2) - log gamma(df / 2) less log(pi
    df) / 2, by Tricomi and Erdélyi's series, as the core has it."""
    a, steps = 0.5 * df, 0.0
    while a < 20.0:
        steps += math.log1p(0.5 / a)
        a += 1.0
    r = 1.0 / a
    terms = -1.0 / 8 + r * r * (1.0 / 192 + r * r * (-1.0 / 640 + r * r * 17.0 / 14336))
    return 0.5 * math.log(a) + r * terms - steps - 0.5 * math.log(math.pi * df)
