"""The incomplete gamma and beta functions, and areas below a normal density, to the ends of both
tails, in float64."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .student_t import fraction

__all__ = ["beta_tail", "gamma_tails", "normal_area"]

Float = NDArray[np.float64]

_STEPS = 20_000  # of series and fractions, which take some sqrt(shape)
_POINTS, _WEIGHTS = (0.5 * array for array in np.polynomial.legendre.leggauss(32))
_POINTS = _POINTS + 0.5
_END = 45.0  # beyond this exponent, nothing is left of an integral
_BINET = (
    *(1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156, -3617 / 122400),
    43867 / 244188,
)


def _stirling(x: Float) -> Float:
    """log gamma(x) less ``(x - 1/2) log(x) - x + log(2 pi) / 2``, as the core has it."""
    large = x >= 8.0
    near = np.where(large, 1.0, x)
    far = np.where(large, x, x + 8.0)
    series = np.polynomial.polynomial.polyval(far**-2.0, _BINET) / far
    product = np.prod([(near + j) / (near + 8.0) for j in range(1, 8)], axis=0)
    logs = (near + 0.5) * np.log1p(8.0 / near) - np.log(product) - 8.0
    return np.where(large, series, series + logs)


def _kl_div(x: Float, y: Float) -> Float:
    """``x log(x / y) - x + y``; near 0 by the series of the logarithm."""
    t = (y - x) / x
    s = t / (t + 2.0)
    odd = np.polynomial.polynomial.polyval(s * s, [1.0 / k for k in range(3, 39, 2)])
    near = x * s * (t - 2.0 * s * s * odd)
    with np.errstate(divide="ignore", over="ignore", under="ignore"):
        return np.where(np.abs(t) <= 0.5, near, y - x - x * (np.log(y) - np.log(x)))


def gamma_tails(shape: Float, x: Float) -> tuple[Float, Float, Float]:
    """``log P(X <= x)``, ``log P(X > x)`` and the logarithm of the density of ``log X``, for x > 0
    and a scale of 1.

    References
    ----------
    Press et al. 2007, Numerical recipes, section 6.2.
    """
    shape, x = np.broadcast_arrays(np.asarray(shape, np.float64), np.asarray(x, np.float64))
    log_front = 0.5 * np.log(shape / (2.0 * math.pi)) - _stirling(shape) - _kl_div(shape, x)
    low = x < shape + 1.0
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        log_lower = log_front + np.log(_series(shape, np.where(low, x, 0.0)))
        log_upper = log_front + np.log(
            _gamma_fraction(shape, np.where(low, 2.0 * shape + 100.0, x))
        )
        lower = np.where(low, log_lower, np.log1p(-np.exp(log_upper)))
        upper = np.where(low, np.log1p(-np.exp(log_lower)), log_upper)
    return lower, upper, log_front


def _series(a: Float, x: Float) -> Float:
    """``sum_k x^k / (a (a + 1) ... (a + k))``."""
    term = 1.0 / a
    total: Float = term.copy()
    for k in range(1, _STEPS):
        term = term * (x / (a + k))
        total += term
        if not np.any(term > 1e-17 * total):
            break
    return total


def _gamma_fraction(a: Float, x: Float) -> Float:
    """``1 / (x + 1 - a - 1 (1 - a) / (x + 3 - a - ...))``, by Lentz's method."""
    b = x + 1.0 - a
    c, d = np.full_like(x, 1e300), 1.0 / b
    value: Float = d.copy()
    for k in range(1, _STEPS):
        number = -k * (k - a)
        b = b + 2.0
        d = 1.0 / (number * d + b)
        c = b + number / c
        value = value * (c * d)
        if not np.any(np.abs(c * d - 1.0) > 3e-16):
            break
    return value


def beta_tail(a: Float, b: Float, x: Float, rest: Float) -> tuple[Float, Float]:
    """``log P(X <= x)`` and the logarithm of the density of the logit of X; `rest` is 1 - x."""
    both = a + b
    log_front = 0.5 * np.log(a * b / (both * 2.0 * math.pi))
    log_front = log_front + _stirling(both) - _stirling(a) - _stirling(b)
    log_front = log_front - _kl_div(a, x * both) - _kl_div(b, rest * both)
    far = x < (a + 1.0) / (both + 2.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_far = log_front - np.log(a) + np.log(fraction(a, b, np.where(far, x, 0.0)))
        log_near = log_front - np.log(b) + np.log(fraction(b, a, np.where(far, 0.0, rest)))
        return np.where(far, log_far, np.log1p(-np.exp(np.where(far, -1.0, log_near)))), log_front


def normal_area(low: Float, high: Float, tilt: Float) -> Float:
    """The integral of ``exp(-t^2 / 2 - tilt t)`` from low to high, on which it is nowhere above
    its value at 0 or at the end that is nearer to it: by the core's quadrature, from there on."""
    start = np.clip(0.0, low, high)
    above = _from_top(np.maximum(start + tilt, 0.0), high - start)
    below = _from_top(np.maximum(-(start + tilt), 0.0), start - low)
    area: Float = np.exp(-start * (0.5 * start + tilt)) * (above + below)
    return area


def _from_top(slope: Float, width: Float) -> Float:
    """The integral of ``exp(-slope t - t^2 / 2)`` from 0 to width."""
    end = np.minimum(width, 2.0 * _END / (slope + np.sqrt(slope**2 + 2.0 * _END)))
    t = end[..., None] * _POINTS
    mean: Float = np.exp(-t * (slope[..., None] + 0.5 * t)) @ _WEIGHTS
    return end * mean
