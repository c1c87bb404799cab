"""What tests of transforms by increasing functions have in common: a formula in arithmetic of many
digits, its error in units of what rounding of the numbers that go in makes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np

import cflows as cf
from differences import gradient

mp.mp.dps = 60
DTYPES = ("float32", "float64")

# x and the unconstrained parameters of one feature: u, log(du/dx), and how far rounding by one unit
# moves each.
Formula = Callable[[Any, list[Any]], tuple[Any, Any, Any, Any]]


def rounded(numbers: np.ndarray) -> np.ndarray:
    """Numbers that float32 holds, in float64."""
    return np.asarray(numbers, np.float32).astype(np.float64)


def flow_of(transform: cf.Transform, params: np.ndarray, dtype: str = "float64") -> cf.Flow:
    """Every feature with its unconstrained parameters, params[:, feature]."""
    flow = cf.Flow([cf.Elementwise(transform)], features=params.shape[1], dtype=dtype)
    (parameter,) = flow.parameters.values()
    parameter[...] = params.reshape(-1)
    return flow


def check_values(
    transform: cf.Transform, params: np.ndarray, x: np.ndarray, formula: Formula, dtype: str
) -> None:
    """The formula for x, and the root for the numbers that it gives, one feature at a time."""
    eps, tiny = np.finfo(dtype).eps, float(np.finfo(dtype).tiny)
    x = np.asarray(x, dtype)
    for feature in range(params.shape[1]):
        own = rounded(params[:, feature : feature + 1])
        flow = flow_of(transform, own, dtype)
        raw = [mp.mpf(p) for p in own[:, 0]]
        u, log_det = flow.inverse(x[:, None])
        back, opposite = flow.forward(u)
        for i, point in enumerate(map(float, x)):
            value, log_slope, moved, bent = formula(mp.mpf(point), raw)
            assert abs(mp.mpf(float(u[i, 0])) - value) <= 8 * eps * moved + tiny, (point, own)
            assert abs(mp.mpf(float(log_det[i])) - log_slope) <= 8 * eps * bent, (point, own)
            found, log_slope, moved, bent = formula(mp.mpf(float(back[i, 0])), raw)
            at_x = abs(mp.mpf(float(back[i, 0]))) * mp.exp(log_slope)
            error = abs(found - mp.mpf(float(u[i, 0])))
            assert error <= 8 * eps * (moved + at_x) + tiny, (point, own)
            assert abs(mp.mpf(float(opposite[i])) + log_slope) <= 8 * eps * bent, (point, own)


def check_gradients(
    transform: cf.Transform, params: np.ndarray, at: np.ndarray, step: float = 1e-3
) -> None:
    """Of both directions against differences."""
    rng = np.random.default_rng(4)
    flow = flow_of(transform, params)
    value, log_det = rng.normal(size=at.shape), rng.normal(size=len(at))
    for direction in ("inverse", "forward"):
        ours = flow.vjp(at, value, log_det, direction=direction)

        def f(direction: str = direction) -> np.longdouble:
            out, ld = getattr(flow, direction)(at)
            sum_of = np.sum(out * value, dtype=np.longdouble)
            return sum_of + np.sum(ld * log_det, dtype=np.longdouble)

        (name,) = flow.parameters
        for found, array in ((ours.x, at), (ours.parameters[name], flow.parameters[name])):
            truth = gradient(f, array, step)
            assert np.linalg.norm(found - truth) <= 1e-7 * np.linalg.norm(truth)


def check_float32_gradients(transform: cf.Transform, params: np.ndarray, at: np.ndarray) -> None:
    """They follow those of float64."""
    rng = np.random.default_rng(8)
    params, at = rounded(params), at.astype(np.float32)
    value, log_det = rng.normal(size=at.shape), rng.normal(size=len(at))
    for direction in ("inverse", "forward"):
        narrow, wide = (
            flow_of(transform, params, dtype).vjp(at, value, log_det, direction=direction)
            for dtype in DTYPES
        )
        (name,) = wide.parameters
        pairs = ((narrow.x, wide.x), (narrow.parameters[name], wide.parameters[name]))
        for found, truth in pairs:
            assert np.linalg.norm(found - truth) <= 1e-4 * np.linalg.norm(truth)


def check_rows(transform: cf.Transform, params: np.ndarray, dtype: str) -> None:
    """The same bits wherever a row stands, and a row that is no number moves no other."""
    rng = np.random.default_rng(8)
    flow = flow_of(transform, params, dtype)
    rows = rng.normal(size=(200, params.shape[1])) * 10.0 ** rng.integers(-3, 3, size=(200, 1))
    for apply in (flow.inverse, flow.forward):
        out, log_det = apply(rows)
        order = rng.permutation(200)
        shuffled, of_shuffled = apply(rows[order])
        assert np.array_equal(shuffled, out[order], equal_nan=True)
        assert np.array_equal(of_shuffled, log_det[order], equal_nan=True)
        bad = rows.copy()
        bad[[3, 70, 150], 0] = np.nan, np.inf, -np.inf
        with_bad, of_bad = apply(bad)
        rest = np.setdiff1d(np.arange(200), [3, 70, 150])
        assert np.array_equal(with_bad[rest], out[rest], equal_nan=True)
        assert np.array_equal(of_bad[rest], log_det[rest], equal_nan=True)
        assert np.isnan(with_bad[3, 0]) and np.isnan(of_bad[3])
