"""The vectorised elementary functions of `csrc/simd/math.h` against more precise ones.

Errors are in units in the last place (ulp) of the exact result; of a subnormal result, in units of
the least number. float32 is checked over all binades against float64, float64 against mpmath.
"""

from __future__ import annotations

import ctypes
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import mpmath
import numpy as np
import pytest
from scipy import special

from c_build import DTYPES, SIMD_LEVELS, shared_library, simd_levels

MAX_ULP = 2.0
INF, NAN = math.inf, math.nan

Array = np.ndarray


def _sincos_2pi(x: Array, quarter: int) -> Array:
    """Sine of 2 pi (x + quarter / 4), the whole quarters of a turn taken away exactly."""
    quarters = np.rint(4 * x)
    rest = 2 * np.pi * (x - quarters / 4)
    k = ((quarters + quarter) % 4).astype(int)
    result: Array = np.choose(k, [np.sin(rest), np.cos(rest), -np.sin(rest), -np.cos(rest)])
    return result


def _mp_sigmoid(x: mpmath.mpf) -> mpmath.mpf:
    return 1 / (1 + mpmath.exp(-x))


def _mp_softplus(x: mpmath.mpf) -> mpmath.mpf:
    return mpmath.log1p(mpmath.exp(x))


def _mp_normal_cdf(x: mpmath.mpf) -> mpmath.mpf:
    return mpmath.erfc(-x / mpmath.sqrt(2)) / 2


def _mp_normal_pdf(x: mpmath.mpf) -> mpmath.mpf:
    return mpmath.exp(-x * x / 2) / mpmath.sqrt(2 * mpmath.pi)


@dataclass(frozen=True)
class Function:
    """A function, its truth in two precisions, and where to look.

    Attributes
    ----------
    float64, exact : callable
        Truth for float32 arguments, and for float64 ones.
    limits : tuple of pairs
        Argument and exact result.
    ranges : tuple of pairs
        Intervals in which float64 arguments are drawn, besides all binades.
    edges : tuple of float
        Arguments whose neighbours are tested: where the method changes or the result under- or
        overflows.
    bound : float
        The largest argument tested.
    """

    float64: Callable[[Array], Array]
    exact: Callable[[mpmath.mpf], mpmath.mpf]
    limits: tuple[tuple[float, float], ...]
    ranges: tuple[tuple[float, float], ...]
    edges: tuple[float, ...] = ()
    bound: float = INF


LN2 = math.log(2)
EXP_UNDERFLOW = (-745.133, -708.396, -103.972, -87.336)
EXP_OVERFLOW = (88.376, 88.7228, 709.09, 709.7827)
EXP_EDGES = (*EXP_UNDERFLOW, -LN2 / 2, LN2 / 2, *EXP_OVERFLOW)

FUNCTIONS = {
    "exp": Function(
        np.exp,
        mpmath.exp,
        ((-INF, 0), (-1000, 0), (-0.0, 1), (0, 1), (1000, INF), (INF, INF)),
        ((-1, 1), (-746, 711)),
        EXP_EDGES,
    ),
    "expm1": Function(
        np.expm1,
        mpmath.expm1,
        ((-INF, -1), (-1000, -1), (-0.0, -0.0), (0.0, 0.0), (1000, INF), (INF, INF)),
        ((-1, 1), (-40, 40), (-40, 711)),
        (*EXP_EDGES, -37.43, -17.33, 1.5 * LN2),
    ),
    "log": Function(
        np.log,
        mpmath.log,
        ((-INF, NAN), (-1, NAN), (-1e-40, NAN), (-0.0, -INF), (0, -INF), (1, 0), (INF, INF)),
        ((0.5, 2), (0, 1000)),
        (2.0**-1022, 2.0**-126, 0.75, 1, 1.5),
    ),
    "log1p": Function(
        np.log1p,
        mpmath.log1p,
        ((-INF, NAN), (-1.5, NAN), (-1, -INF), (-0.0, -0.0), (0.0, 0.0), (INF, INF)),
        ((-1, 1), (-1, 1000)),
        (-1, -0.25, 0.5, 2, 2.0**24, 2.0**53, 2.0**-46, 2.0**-104),
    ),
    "sigmoid": Function(
        special.expit,
        _mp_sigmoid,
        ((-INF, 0), (-1000, 0), (-0.0, 0.5), (0, 0.5), (INF, 1)),
        ((-1, 1), (-40, 40), (-746, 40)),
        (17.33, 36.74, *EXP_EDGES),
    ),
    "softplus": Function(
        lambda x: np.logaddexp(0, x),
        _mp_softplus,
        ((-INF, 0), (-1000, 0), (1000, 1000), (INF, INF)),
        ((-1, 1), (-40, 40), (-746, 40)),
        (-LN2, LN2, *EXP_EDGES),
    ),
    "tanh": Function(
        np.tanh,
        mpmath.tanh,
        ((-INF, -1), (-100, -1), (-0.0, -0.0), (0.0, 0.0), (100, 1), (INF, 1)),
        ((-1, 1), (-20, 20)),
        (LN2 / 4, LN2 * 3 / 4, 9.01, 19.06, 2.0**-12, 2.0**-27),
    ),
    "erf": Function(
        special.erf,
        mpmath.erf,
        ((-INF, -1), (-10, -1), (-0.0, -0.0), (0.0, 0.0), (10, 1), (INF, 1)),
        ((-1, 1), (-6, 6)),
        (-1, 1, 3.83, 3.93, 5.86, 5.93),
    ),
    "normal_cdf": Function(
        special.ndtr,
        _mp_normal_cdf,
        ((-INF, 0), (-50, 0), (-0.0, 0.5), (0, 0.5), (50, 1), (INF, 1)),
        ((-1, 1), (-10, 10), (-39, 0)),
        (-14.17, -12.9, -37.52, -38.48, 5.4, 8.29),
    ),
    "normal_pdf": Function(
        lambda x: np.exp(-x * x / 2) / math.sqrt(2 * math.pi),
        _mp_normal_pdf,
        ((-INF, 0), (-50, 0), (50, 0), (INF, 0)),
        ((-1, 1), (-39, 39)),
        (-14.3, -13.1, 37.6, 38.56),
    ),
    "sin_2pi": Function(
        functools.partial(_sincos_2pi, quarter=0),
        lambda x: mpmath.sinpi(2 * x),
        ((-0.0, -0.0), (0.0, 0.0), (0.25, 1), (0.75, -1), (INF, NAN)),
        ((0, 1), (-1000, 1000)),
        (0.125, 0.25, 0.375, 0.5, 0.75, 1),
        bound=2.0**20,
    ),
    "cos_2pi": Function(
        functools.partial(_sincos_2pi, quarter=1),
        lambda x: mpmath.cospi(2 * x),
        ((-0.0, 1), (0.0, 1), (0.5, -1), (1, 1), (INF, NAN)),
        ((0, 1), (-1000, 1000)),
        (0.125, 0.25, 0.375, 0.5, 0.75, 1),
        bound=2.0**20,
    ),
}


def evaluate(name: str, level: int, x: Array) -> Array:
    """Apply the function at a SIMD level."""
    library = shared_library(["tests/c/math_functions.c"])
    table = (ctypes.c_size_t * len(DTYPES) * (level + 1)).in_dll(library, f"math_{name}")
    signature = ctypes.CFUNCTYPE(None, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p)
    y = np.empty_like(x)
    signature(table[level][DTYPES.index(x.dtype.name)])(x.size, x.ctypes.data, y.ctypes.data)
    return y


def neighbours(edges: tuple[float, ...], dtype: str, count: int) -> Array:
    """The `count` numbers on either side of every edge and of zero; some may be NaN."""
    centres = np.array([0.0, -0.0, *edges], dtype)
    integer = f"int{centres.itemsize * 8}"
    steps = np.arange(-count, count + 1, dtype=integer)
    bits = centres.view(integer)[:, None] + steps
    result: Array = bits.view(dtype).ravel()
    return result


def every_binade(dtype: str, count: int, seed: int) -> Array:
    """Random numbers, both signs and all exponents alike."""
    bytes_each = np.dtype(dtype).itemsize
    return np.frombuffer(np.random.default_rng(seed).bytes(count * bytes_each), dtype)


def within(x: Array, function: Function) -> Array:
    inside: Array = x[np.abs(x) <= function.bound]
    return inside


def worst(name: str, x: Array, ulp: Array, y: Array) -> str:
    k = int(np.argmax(ulp))
    return f"{name}({float(x[k])!r}) = {float(y[k])!r} is off by {ulp[k]:.3f} ulp"


@functools.cache
def sweep32(name: str) -> tuple[Array, Array]:
    """Every 977th float32 and the edges' neighbours, with the exact results."""
    function = FUNCTIONS[name]
    grid = np.arange(0, 2**32, 977, dtype=np.uint32).view(np.float32)
    x = np.concatenate([grid, neighbours(function.edges, "float32", 2000)])
    x = within(x[~np.isnan(x)], function)
    with np.errstate(all="ignore"):
        return x, function.float64(x.astype(np.float64))


def ulp32(y: Array, exact: Array) -> Array:
    """Errors of float32 results; infinite where one of the two is NaN."""
    overflow = 2.0**128
    y, exact = (np.clip(a, -overflow, overflow) for a in (y.astype(np.float64), exact))
    exponent = np.clip(np.frexp(exact)[1], -125, 128)
    error = np.abs(y - exact) * np.ldexp(1.0, 24 - exponent)
    agreed = np.isnan(y) & np.isnan(exact)
    return np.where(agreed, 0.0, np.where(np.isnan(error), INF, error))


@functools.cache
def sample64(name: str) -> tuple[Array, list[mpmath.mpf]]:
    """Float64 arguments from all binades, from the function's ranges and near its edges."""
    function = FUNCTIONS[name]
    rng = np.random.default_rng(0)
    parts = [rng.uniform(low, high, 3000) for low, high in function.ranges]
    parts += [every_binade("float64", 3000, 1), neighbours(function.edges, "float64", 20)]
    x = np.concatenate(parts)
    x = within(x[np.isfinite(x)], function)
    if name in ("log", "log1p"):
        x = x[x > (0 if name == "log" else -1)]
    else:  # beyond, every function has reached its limit
        x = x[np.abs(x) < 2000]
    with mpmath.workprec(140):
        return x, [function.exact(mpmath.mpf(float(v))) for v in x]


def ulp64(y: Array, exact: list[mpmath.mpf]) -> Array:
    """Errors of float64 results; infinite where one is NaN."""
    return np.array([_ulp64(float(a), e) for a, e in zip(y, exact, strict=True)])


def _ulp64(y: float, exact: mpmath.mpf) -> float:
    if math.isnan(y):
        return INF
    overflow = mpmath.mpf(2) ** 1024
    exact = min(max(exact, -overflow), overflow)
    y = min(max(mpmath.mpf(y), -overflow), overflow)
    exponent = max(min(mpmath.frexp(exact)[1], 1024), -1021)
    return float(abs(y - exact) * mpmath.mpf(2) ** (53 - exponent))


over_levels = pytest.mark.parametrize("level", simd_levels(), ids=SIMD_LEVELS.__getitem__)
over_dtypes = pytest.mark.parametrize("dtype", DTYPES)
over_functions = pytest.mark.parametrize("name", FUNCTIONS)


@over_functions
@over_levels
def test_error_float32(name: str, level: int) -> None:
    x, exact = sweep32(name)
    y = evaluate(name, level, x)
    ulp = ulp32(y, exact)
    assert ulp.max() <= MAX_ULP, worst(name, x, ulp, y)


@over_functions
@over_levels
def test_error_float64(name: str, level: int) -> None:
    x, exact = sample64(name)
    y = evaluate(name, level, x)
    ulp = ulp64(y, exact)
    assert ulp.max() <= MAX_ULP, worst(name, x, ulp, y)


@over_functions
@over_dtypes
@over_levels
def test_limits(name: str, dtype: str, level: int) -> None:
    x, expected = (np.array(side, dtype) for side in zip(*FUNCTIONS[name].limits, strict=True))
    y = evaluate(name, level, x)
    np.testing.assert_array_equal(y, expected)
    numbers = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(y)[numbers], np.signbit(expected)[numbers])


@over_functions
@over_dtypes
@over_levels
def test_nan_stays_in_its_lane(name: str, dtype: str, level: int) -> None:
    x = np.linspace(0.1, 0.9, 67, dtype=dtype)
    clean = evaluate(name, level, x)
    x[::3] = NAN
    y = evaluate(name, level, x)
    expected = np.where(np.isnan(x), x, clean)
    np.testing.assert_array_equal(y, expected)


@over_functions
@over_dtypes
@over_levels
def test_result_does_not_depend_on_the_lane(name: str, dtype: str, level: int) -> None:
    x = within(every_binade(dtype, 1009, 2), FUNCTIONS[name])
    x = np.concatenate([x, np.linspace(-3, 3, 500, dtype=dtype)])
    y = evaluate(name, level, x)
    for start in (1, 2, 3, 5, 11):
        shifted = evaluate(name, level, x[start:-start].copy())
        np.testing.assert_array_equal(shifted, y[start:-start])


@over_functions
@over_dtypes
def test_fused_levels_agree_bitwise(name: str, dtype: str) -> None:
    function = FUNCTIONS[name]
    parts = [every_binade(dtype, 200_000, 3), neighbours(function.edges, dtype, 200)]
    parts += [np.linspace(low, high, 20_000, dtype=dtype) for low, high in function.ranges]
    x = within(np.concatenate(parts), function)
    results = [evaluate(name, level, x) for level in simd_levels() if level > 0]
    for y in results[1:]:
        np.testing.assert_array_equal(y, results[0])
        numbers = ~np.isnan(y)
        np.testing.assert_array_equal(np.signbit(y)[numbers], np.signbit(results[0])[numbers])


@over_functions
@over_dtypes
@over_levels
def test_any_length(name: str, dtype: str, level: int) -> None:
    x = np.linspace(0.1, 0.9, 40, dtype=dtype)
    y = evaluate(name, level, x)
    for n in range(40):
        np.testing.assert_array_equal(evaluate(name, level, x[:n].copy()), y[:n])
