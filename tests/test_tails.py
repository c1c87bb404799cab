"""`SinhArcsinh` and `LambertW` against their formulas in 60 digits, to the ends of the dtypes."""

from __future__ import annotations

from typing import Any

import mpmath as mp
import numpy as np
import pytest
from scipy import stats

import cflows as cf
from monotone import (
    DTYPES,
    check_float32_gradients,
    check_gradients,
    check_rows,
    check_values,
    flow_of,
)


def softclip(raw: Any) -> Any:
    return mp.exp(raw / (1 + abs(raw) / mp.log(1000)))


def sinh_arcsinh(x: Any, raw: list[Any]) -> tuple[Any, Any, Any, Any]:
    epsilon, delta, scale, shift = raw[0], softclip(raw[1]), softclip(raw[2]), raw[3]
    z = (x - shift) / scale
    angle = mp.asinh(z)
    line = delta * angle - epsilon
    u = mp.sinh(line)
    log_slope = mp.log(delta / scale) + mp.log(mp.cosh(line)) - mp.log(mp.cosh(angle))
    # An exponent of many units moves by as many, and so does the logarithm of its cosine.
    size = delta * (abs(angle) * 4 + (abs(x) + abs(shift)) / scale / mp.cosh(angle)) + abs(epsilon)
    bent = 8 + 2 * size + 4 * abs(angle) + (abs(x) + abs(shift)) / scale / mp.cosh(angle)
    return u, log_slope, mp.cosh(line) * size, bent


def tail_weight(raw: Any, maximum: float) -> Any:
    return mp.mpf(maximum) / (1 + mp.exp(4 - raw))


def lambert_w(x: Any, raw: list[Any], maximum: float = 1.0) -> tuple[Any, Any, Any, Any]:
    h, scale, shift = tail_weight(raw[0], maximum), softclip(raw[1]), raw[2]
    z = (x - shift) / scale
    w = mp.lambertw(h * z**2).real
    u = z * mp.exp(-w / 2)
    log_slope = -(w / 2 + mp.log1p(w) + mp.log(scale))
    lost = (abs(x) + abs(shift)) / scale * mp.exp(-w / 2) / (1 + w)
    moved = 2 * abs(u) + 4 * lost
    bent = 8 + 4 * abs(log_slope) + (2 * h * abs(u) * moved if w > 0 else 0)
    return u, log_slope, moved, bent


POINTS = [0.0, 1e-30, -1e-4, 0.3, -1.0, 2.5, -7.0, 40.0, -1e3, 1e6]
PARAMS = np.array(
    [
        [0.0, 0.0, 0.0, 0.0],
        [0.4, -0.5, 0.3, 0.0],
        [-1.0, 0.7, -0.3, 0.5],
        [0.0, 2.0, 1.5, -3.0],
        [3.0, -3.0, 0.0, 0.1],
    ]
).T


@pytest.mark.parametrize("dtype", DTYPES)
def test_sinh_arcsinh(dtype: str) -> None:
    points = [p for p in POINTS if abs(p) < 100]  # u overflows soon after, where delta is large
    check_values(cf.SinhArcsinh(), PARAMS, np.array(points), sinh_arcsinh, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_sinh_arcsinh_to_the_ends(dtype: str) -> None:
    most = 0.4 * float(np.finfo(dtype).max)
    points = np.array([-most, 1e3, 1e20, 1e-30, most])
    check_values(cf.SinhArcsinh(), PARAMS[:, [0, 1]], points, sinh_arcsinh, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_lambert_w(dtype: str) -> None:
    params = np.array([[0.0, 0, 0], [3.0, 0.5, -1.0], [10.0, 0, 0], [-5.0, -0.5, 0.2]]).T
    check_values(cf.LambertW(), params, np.array(POINTS), lambert_w, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_lambert_w_to_the_ends(dtype: str) -> None:
    """Also where h is 0 to rounding."""
    most = 0.9 * float(np.finfo(dtype).max)
    points = np.array([-most, 1e3, 1e20, 1e-30, most])
    params = np.array([[0.0, 0, 0], [6.0, 0, 0], [-800.0, 0, 0]]).T

    def formula(x: Any, raw: list[Any]) -> tuple[Any, Any, Any, Any]:
        return lambert_w(x, raw, 3.0)

    check_values(cf.LambertW(3.0), params[:, :2], points, formula, dtype)
    flow = flow_of(cf.LambertW(3.0), params[:, 2:], dtype)
    u, log_det = flow.inverse(points[:, None])
    assert np.array_equal(u[:, 0], points.astype(dtype)) and (log_det == 0.0).all()


def test_lambert_w_is_scipys() -> None:
    from scipy.special import lambertw

    flow = flow_of(cf.LambertW(), np.array([[3.0], [0.0], [0.0]]))
    h = 1 / (1 + np.exp(1.0))
    x = np.linspace(-50, 50, 1001)
    u, _ = flow.inverse(x[:, None])
    expected = np.sign(x) * np.sqrt(lambertw(h * x**2).real / h)
    np.testing.assert_allclose(u[:, 0], expected, rtol=1e-13, atol=1e-15)


def test_gradients() -> None:
    rng = np.random.default_rng(4)
    at = np.concatenate([2 * rng.normal(size=(8, 2)), [[-5.0, 6.0], [7.0, -8.0]]])
    for transform, count in ((cf.SinhArcsinh(), 4), (cf.LambertW(), 3)):
        params = 0.7 * rng.normal(size=(count, 2))
        check_gradients(transform, params, at)
        check_float32_gradients(transform, params, at)


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows(dtype: str) -> None:
    rng = np.random.default_rng(3)
    check_rows(cf.SinhArcsinh(), 0.5 * rng.normal(size=(4, 4)), dtype)
    check_rows(cf.LambertW(), rng.normal(size=(3, 4)), dtype)


def test_new_layers() -> None:
    u = np.random.default_rng(0).normal(size=(200, 4))
    flow = cf.Flow([cf.Coupling(transform=cf.SinhArcsinh())], features=4, seed=0, dtype="float64")
    np.testing.assert_allclose(flow.forward(u)[0], u, rtol=1e-13)
    flow = cf.Flow([cf.Coupling(transform=cf.LambertW())], features=4, seed=0, dtype="float64")
    x, _ = flow.forward(u)
    assert np.abs(x / u - 1).max() < 0.2


def test_a_fit_finds_the_tails_of_students_t() -> None:
    """Of 4 degrees of freedom; a normal distribution is 0.08 nats worse."""
    x = stats.t(4).rvs(size=(20_000, 1), random_state=np.random.default_rng(0))
    truth = stats.t(4).logpdf(x).mean()
    for transform in (cf.SinhArcsinh(), cf.LambertW()):
        flow = cf.Flow([cf.Elementwise(transform)], features=1, seed=0)
        flow.fit(x, epochs=30, optimizer=cf.Adam(1e-2), batch_size=500, seed=0, progress=False)
        assert truth - flow.log_prob(x).mean() < 0.01


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: cf.LambertW(0.0), "maximum must be above 0 and at most 10, got 0"),
        (lambda: cf.LambertW(11.0), "maximum must be above 0 and at most 10, got 11"),
        (lambda: cf.SinhArcsinh("no such form"), "scale"),
    ],
)
def test_options(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
