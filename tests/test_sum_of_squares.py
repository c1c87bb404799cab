"""Sums of squared polynomials, against polynomial algebra of 60 digits."""

from __future__ import annotations

from typing import Any

import mpmath as mp
import numpy as np
import pytest

import cflows as cf
from monotone import (
    DTYPES,
    Formula,
    check_float32_gradients,
    check_gradients,
    check_rows,
    check_values,
    flow_of,
)

SLOPE, BOUND = 1e-3, 10.0


def formula_of(
    polynomials: int, degree: int, slope: float = SLOPE, bound: float = BOUND
) -> Formula:
    def formula(x: Any, raw: list[Any]) -> tuple[Any, Any, Any, Any]:
        t, each, size = x / mp.mpf(bound), degree + 1, abs(x) / mp.mpf(bound)
        density = integral = scale = mp.mpf(0)
        for i in range(polynomials):
            p = raw[i * each : (i + 1) * each]
            p = [1 + p[0], *p[1:]]
            density += sum(a * t**j for j, a in enumerate(p)) ** 2
            for j, a in enumerate(p):
                for k, b in enumerate(p):
                    integral += a * b * x * t ** (j + k) / (j + k + 1)
            terms = [1, *raw[i * each : (i + 1) * each]]
            scale += sum(abs(a) * size ** max(j - 1, 0) for j, a in enumerate(terms)) ** 2
        density, scale = density / polynomials + mp.mpf(slope), scale / polynomials + slope
        u = raw[-1] + integral / polynomials + mp.mpf(slope) * x
        # Horner's rule rounds once a coefficient.
        return (
            u,
            mp.log(density),
            each * (abs(raw[-1]) + abs(x) * scale),
            each * (scale / density + abs(mp.log(density))),
        )

    return formula


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("polynomials", "degree"), [(1, 1), (3, 4), (2, 7), (5, 16), (1, 32)])
def test_values_and_roots(polynomials: int, degree: int, dtype: str) -> None:
    rng = np.random.default_rng(degree)
    count = 20 if degree <= 7 else 8  # of many digits each
    x = np.concatenate([3 * rng.normal(size=count), [0.0, 1e-20, -9.9, 10.0, 12.0]])
    if degree <= 7:
        x = np.concatenate([x, [-40.0, 100.0]])
    params = rng.normal(size=(polynomials * (degree + 1) + 1, 3))
    transform = cf.SumOfSquares(polynomials, degree)
    check_values(transform, params, x, formula_of(polynomials, degree), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_harsh_weights(dtype: str) -> None:
    rng = np.random.default_rng(0)
    params = rng.choice([-30.0, -10.0, -1.0, 0.0, 1.0, 10.0, 100.0], size=(11, 6))
    x = np.concatenate([4 * rng.normal(size=10), [1e-8, 50.0]])
    transform = cf.SumOfSquares(2, 4, slope=0.01, bound=2.0)
    check_values(transform, params, x, formula_of(2, 4, 0.01, 2.0), dtype)


def test_where_polynomials_vanish_the_slope_is_the_least() -> None:
    """1 + a_0 = 0 and no other coefficient: u = constant + slope x."""
    params = np.array([[-1.0], [0.0], [-1.0], [0.0], [0.7]])
    flow = flow_of(cf.SumOfSquares(2, 1), params)
    u, log_det = flow.inverse([[5.0], [-300.0]])
    np.testing.assert_allclose(u[:, 0], [0.7 + 5e-3, 0.7 - 0.3], rtol=1e-14)
    np.testing.assert_allclose(log_det, np.log(1e-3), rtol=1e-14)
    np.testing.assert_allclose(flow.forward(u)[0][:, 0], [5.0, -300.0], rtol=1e-12)


def test_gradients() -> None:
    rng = np.random.default_rng(2)
    params = rng.normal(size=(9, 3))
    at = np.concatenate([2 * rng.normal(size=(8, 3)), [[6.0, -7.0, 12.0], [-11.0, 9.0, -4.0]]])
    check_gradients(cf.SumOfSquares(2, 3), params, at)
    check_float32_gradients(cf.SumOfSquares(2, 3), params, at)


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows(dtype: str) -> None:
    check_rows(cf.SumOfSquares(3, 4), np.random.default_rng(3).normal(size=(16, 4)), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_far_out_the_log_det_is_a_number_and_the_density_0(dtype: str) -> None:
    params = np.random.default_rng(1).normal(size=(16, 1))
    flow = flow_of(cf.SumOfSquares(3, 4), params, dtype)
    large = {"float32": 1e18, "float64": 1e150}[dtype]
    u, log_det = flow.inverse([[large], [-large]])
    assert np.isinf(u).all()
    a = params[[4, 9, 14], 0]
    truth = 8 * np.log(large / 10) + np.log(np.mean(a**2))
    np.testing.assert_allclose(log_det, truth, rtol=1e-6 if dtype == "float32" else 1e-14)
    assert np.array_equal(flow.log_prob([[large], [-large]]), [-np.inf, -np.inf])
    assert np.array_equal(flow.grad_log_prob([[large]]), [[0.0]])


def test_a_new_layer_is_nearly_the_identity() -> None:
    flow = cf.Flow([cf.Coupling(transform=cf.SumOfSquares())], features=4, seed=0)
    u = np.random.default_rng(0).normal(size=(100, 4))
    assert np.abs(flow.forward(u)[0] - u).max() < 0.01


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"polynomials": 0}, "polynomials must be from 1 to 64, got 0"),
        ({"polynomials": 65}, "polynomials must be from 1 to 64, got 65"),
        ({"degree": 0}, "degree must be from 1 to 32, got 0"),
        ({"degree": 33}, "degree must be from 1 to 32, got 33"),
        ({"slope": 0.0}, "slope must be from 1e-6 to 1, got 0"),
        ({"slope": 1.5}, "slope must be from 1e-6 to 1, got 1.5"),
        ({"bound": 0.0}, "bound must be positive, got 0"),
    ],
)
def test_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cf.SumOfSquares(**options)
