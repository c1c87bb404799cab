"""Bernstein polynomials, against their definition in 60 digits."""

from __future__ import annotations

from itertools import pairwise
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


def coefficients(raw: list[Any], bound: float, tails: str, minimum_slope: float) -> list[Any]:
    """theta_0, ..., theta_M."""
    n, width = len(raw), 2 * mp.mpf(bound)
    if tails == "identity":
        step, powers = width / (n + 4), [mp.exp(r) for r in raw]
        rest = width - 4 * step
        increments = [step, step, *(rest * p / sum(powers) for p in powers), step, step]
        theta = -mp.mpf(bound)
    else:
        least = mp.mpf(minimum_slope) * width / (n + 1)
        increments = [mp.log1p(mp.exp(r)) + least for r in raw[1:]]
        increments = [increments[0], *increments, increments[-1]]
        theta = raw[0] - n * mp.log(2) / 2
    out = [theta]
    for increment in increments:
        out.append(out[-1] + increment)
    return out


def polynomial(theta: list[Any], t: Any) -> Any:
    """By de Casteljau's algorithm."""
    while len(theta) > 1:
        theta = [(1 - t) * a + t * b for a, b in pairwise(theta)]
    return theta[0]


def formula_of(
    bound: float, tails: str = "identity", minimum_slope: float = 1e-3, margin: float = 0.0
) -> Formula:
    def formula(x: Any, raw: list[Any]) -> tuple[Any, Any, Any, Any]:
        theta = coefficients(raw, bound, tails, minimum_slope)
        order, width = len(theta) - 1, 2 * mp.mpf(bound)
        slopes = [order * (b - a) / width for a, b in pairwise(theta)]
        t, first, last = x / width + mp.mpf(1) / 2, mp.mpf(margin), 1 - mp.mpf(margin)
        inside = min(max(t, first), last)
        u, slope = polynomial(theta, inside), polynomial(slopes, inside)
        if tails == "linear":
            u += (t - inside) * width * slope
        elif inside != t or (margin > 0 and inside in (first, last)):
            u, slope = width * (t - inside) - mp.sign(mp.mpf(1) / 2 - t) * bound, mp.mpf(1)
        # Powers round once a factor, sums once a term; the unconstrained parameters are exponents.
        units = order + max(map(abs, raw))
        beyond = abs(x) * (slope if tails == "linear" else 1)
        moved = units * (max(map(abs, theta)) + beyond)
        return u, mp.log(slope), moved, units * (1 + abs(mp.log(slope)))

    return formula


POINTS = [-4.999, -4.9, -3.0, -1.0, -1e-10, 0.0, 0.3, 2.0, 4.0, 4.999]
OUTSIDE = [-5.0, 5.0, -5.5, 6.0, -100.3, 1e10, -1e30]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("degree", [1, 4, 16, 32, 64])
@pytest.mark.parametrize("tails", ["identity", "linear"])
def test_values_and_roots(tails: str, degree: int, dtype: str) -> None:
    params = 2 * np.random.default_rng(degree).normal(size=(degree + 1, 2))
    transform = cf.Bernstein(degree, tails=tails)
    check_values(transform, params, np.array(POINTS + OUTSIDE), formula_of(5.0, tails), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("tails", ["identity", "linear"])
def test_harsh_weights(tails: str, dtype: str) -> None:
    params = np.random.default_rng(0).choice([-100.0, -10.0, 0.0, 3.0, 50.0], size=(9, 5))
    transform = cf.Bernstein(8, 0.7, tails=tails)
    x = np.array(POINTS + OUTSIDE) * 0.7 / 5
    check_values(transform, params, x, formula_of(0.7, tails), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_identity_tails_are_the_identity_and_the_curve_meets_them_smoothly(dtype: str) -> None:
    flow = flow_of(cf.Bernstein(10, 3.0), np.random.default_rng(1).normal(size=(11, 1)), dtype)
    x = np.array([[-3.0], [3.0], [-7.25], [1e6], [-1e20]])
    for apply in (flow.inverse, flow.forward):
        u, log_det = apply(x)
        assert np.array_equal(u, x.astype(dtype))
        assert np.array_equal(log_det, np.zeros(5))
    if dtype == "float64":
        u, log_det = flow.inverse([[-3.0 + 1e-4], [3.0 - 1e-4]])
        np.testing.assert_allclose(u[:, 0], [-3.0 + 1e-4, 3.0 - 1e-4], rtol=0, atol=1e-11)
        assert np.abs(log_det).max() < 1e-6


@pytest.mark.parametrize("tails", ["identity", "linear"])
def test_a_margin(tails: str) -> None:
    """The tails begin there: of linear ones with its slope, of the identity's shifted."""
    params = np.random.default_rng(3).normal(size=(9, 2))
    margin = 0.01
    x = np.array([-5.0, -4.95, -4.9 + 1e-9, -4.9 - 1e-9, 0.3, 4.8, 4.95, 20.0, -30.0])
    transform = cf.Bernstein(8, tails=tails, margin=margin)
    formula = formula_of(5.0, tails, margin=margin)
    check_values(transform, params, x, formula, "float64")


def test_between_the_polynomial_and_shifted_tails_x_is_the_end() -> None:
    flow = flow_of(cf.Bernstein(8, margin=0.01), np.zeros((9, 1)))
    x, log_det = flow.forward([[-4.95], [4.95]])
    np.testing.assert_allclose(x[:, 0], [-4.9, 4.9], rtol=1e-14)
    np.testing.assert_allclose(log_det, 0.0, atol=1e-5)


@pytest.mark.parametrize("tails", ["identity", "linear"])
def test_gradients(tails: str) -> None:
    rng = np.random.default_rng(2)
    params = rng.normal(size=(7, 3))
    at = np.concatenate([1.5 * rng.normal(size=(8, 3)), [[7.0, -8.0, 6.0], [-9.0, 4.5, -20.0]]])
    transform = cf.Bernstein(6, tails=tails)
    check_gradients(transform, params, at)
    check_float32_gradients(transform, params, at)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("tails", ["identity", "linear"])
def test_rows(tails: str, dtype: str) -> None:
    params = np.random.default_rng(3).normal(size=(17, 4))
    check_rows(cf.Bernstein(tails=tails), params, dtype)


@pytest.mark.parametrize("options", [{}, {"tails": "linear"}, {"tails": "linear", "bound": 0.5}])
def test_a_new_layer_is_the_identity(options: dict[str, Any]) -> None:
    transform = cf.Bernstein(**options)
    x = 3 * np.random.default_rng(0).normal(size=(200, 3))
    layers = [cf.Coupling(transform=transform), cf.Autoregressive(transform=transform)]
    for layer in [*layers, cf.Elementwise(transform)]:
        flow = cf.Flow([layer], features=3, seed=0, dtype="float64")
        u, log_det = flow.inverse(x)
        np.testing.assert_allclose(u, x, rtol=1e-13, atol=1e-13)
        np.testing.assert_allclose(log_det, 0.0, atol=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"degree": 0}, "degree must be from 1 to 64, got 0"),
        ({"degree": 65}, "degree must be from 1 to 64, got 65"),
        ({"bound": -1.0}, "bound must be positive, got -1"),
        ({"margin": 0.25}, "margin must be from 0 to below 0.25, got 0.25"),
        ({"margin": -0.1}, "margin must be"),
        ({"minimum_slope": 1.0}, "minimum_slope must be from 0 to below 1, got 1"),
        ({"tails": "free"}, "tails"),
    ],
)
def test_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cf.Bernstein(**options)
