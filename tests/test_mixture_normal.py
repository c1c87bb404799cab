"""Gaussianization by mixtures of normals, against arithmetic of 60 digits: in the middle, in gaps
between narrow components and far out in either tail."""

from __future__ import annotations

from typing import Any

import mpmath as mp
import numpy as np
import pytest
from scipy import stats

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


def tail(z: Any) -> Any:
    """Phi(-z), also where mpmath's own would lose digits."""
    return mp.erfc(z / mp.sqrt(2)) / 2


def quantile(log_p: Any) -> Any:
    """u <= 0 of log(Phi(u)), by Newton's method on the logarithm, which is concave."""
    u = -mp.sqrt(-2 * log_p) if log_p < -1 else mp.mpf(0)
    for _ in range(100):
        p = tail(-u)
        step = (mp.log(p) - log_p) * p / mp.npdf(u)
        u -= step
        if abs(step) <= mp.mpf(10) ** -50 * (1 + abs(u)):
            return u
    raise AssertionError(log_p)


def log_scale_of(raw: Any) -> Any:
    return raw / (1 + abs(raw) / mp.log(1000))


def formula_of(
    count: int, spread: float = 1.0, epsilon: float = 0.0, equal_weights: bool = False
) -> Formula:
    def formula(x: Any, raw: list[Any]) -> tuple[Any, Any, Any, Any]:
        logits = [mp.mpf(0)] * count if equal_weights else raw[:count]
        shifts, scales = raw[-2 * count : -count], raw[-count:]
        weights = [mp.exp(logit) for logit in logits]
        weights = [w / sum(weights) for w in weights]
        steps = [1 - 2 * mp.mpf(k) / (count - 1) if count > 1 else 0 for k in range(count)]
        shifts = [s + spread * step for s, step in zip(shifts, steps, strict=True)]
        scales = [mp.exp(log_scale_of(a)) for a in scales]
        z = [a * x + s for a, s in zip(scales, shifts, strict=True)]
        drawn = mp.mpf(epsilon)
        below = (1 - drawn) * sum(w * tail(-v) for w, v in zip(weights, z, strict=True))
        above = (1 - drawn) * sum(w * tail(v) for w, v in zip(weights, z, strict=True))
        below, above = below + drawn / 2, above + drawn / 2
        side = 1 if below <= above else -1
        share = min(below, above)
        u = quantile(mp.log(share))
        parts = [
            (1 - drawn) * w * a * mp.npdf(v) for w, a, v in zip(weights, scales, z, strict=True)
        ]
        log_slope = mp.log(sum(parts)) - mp.log(mp.npdf(u))
        # How far u moves where every z, log(weight) and log(Phi) is rounded.
        moved, bent, density = mp.mpf(1), 4 + abs(log_slope), sum(parts)
        for w, a, s, v, part in zip(weights, scales, shifts, z, parts, strict=True):
            rounding = (4 + abs(mp.log(a))) * (abs(a * x) + abs(s))
            moved += part / a / mp.npdf(u) * rounding
            bent += part / density * abs(v) * rounding
            moved += (1 - drawn) * w * tail(-side * v) / share * abs(mp.log(w)) / (1 + abs(u))
        moved += abs(u)
        return side * u, log_slope, moved, bent + moved * abs(u)

    return formula


FAR = [0.0, 0.1, -0.7, 3.0, -10.0, 30.0, -100.0, 1e3, -1e4, 1e6]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("count", [1, 2, 8])
def test_values_and_roots(count: int, dtype: str) -> None:
    rng = np.random.default_rng(count)
    params = rng.normal(size=(3 * count, 3))
    check_values(cf.MixtureNormal(count), params, np.array(FAR), formula_of(count), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_component_is_affine_far_out(dtype: str) -> None:
    """To the last digits, of the log_det too, where its two terms are of 1e8 and more."""
    flow = flow_of(cf.MixtureNormal(1), np.array([[0.0], [0.5], [0.7]]), dtype)
    scale = np.exp(0.7 / (1 + 0.7 / np.log(1000)))
    x = np.array([-1e9, -1e5, -30.0, -1.0, 0.0, 2.0, 77.0, 1e4, 1e8]).astype(dtype)
    u, log_det = flow.inverse(x[:, None])
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(u[:, 0], scale * x + 0.5, rtol=4 * eps, atol=2 * eps)
    np.testing.assert_allclose(log_det, np.log(scale), rtol=0, atol=8 * eps)


@pytest.mark.parametrize("dtype", DTYPES)
def test_equal_weights_and_no_spread(dtype: str) -> None:
    params = np.random.default_rng(5).normal(size=(10, 2))
    transform = cf.MixtureNormal(5, equal_weights=True, spread=0.0)
    formula = formula_of(5, spread=0.0, equal_weights=True)
    check_values(transform, params, np.array(FAR), formula, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_gap_between_narrow_components(dtype: str) -> None:
    """Of deviations near 1/50, 4 apart: in the middle both are a hundred deviations away."""
    params = np.array([[0.3], [0.0], [100.0], [-100.0], [9.0], [9.0]])
    points = np.array([-2.4, -2.01, -2.0, -1.5, -0.5, -0.01, 0.01, 0.6, 1.9, 2.02, 2.5])
    transform = cf.MixtureNormal(2, spread=0.0)
    check_values(transform, params, points, formula_of(2, spread=0.0), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_harsh_weights(dtype: str) -> None:
    params = np.random.default_rng(0).choice([-10.0, -3.0, 0.0, 1.0, 5.0], size=(12, 5))
    points = np.array([0.0, 0.01, -0.3, 2.0, -9.0, 50.0, -400.0])
    check_values(cf.MixtureNormal(4), params, points, formula_of(4), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_epsilon_draws_the_distribution_function_to_the_middle(dtype: str) -> None:
    params = np.random.default_rng(6).normal(size=(9, 2))
    points = np.array([0.0, 0.2, -0.5, 0.8])
    transform = cf.MixtureNormal(3, epsilon=0.01)
    check_values(transform, params, points, formula_of(3, epsilon=0.01), dtype)
    flow = flow_of(transform, params[:, :1], dtype)
    limit = -stats.norm.ppf(0.005)
    u, _ = flow.inverse([[1e3], [-1e3]])
    np.testing.assert_allclose(u[:, 0], [limit, -limit], rtol=1e-5)
    x, log_det = flow.forward([[limit + 0.01], [0.3], [-limit - 0.01], [-9.0]])
    assert np.array_equal(np.isnan(x[:, 0]), [True, False, True, True])
    assert np.array_equal(np.isnan(log_det), [True, False, True, True])


@pytest.mark.parametrize("dtype", DTYPES)
def test_beyond_the_numbers_whose_squares_are_finite(dtype: str) -> None:
    flow = flow_of(cf.MixtureNormal(3), np.zeros((9, 1)), dtype)
    large = {"float32": 1e30, "float64": 1e200}[dtype]
    u, log_det = flow.inverse([[large], [-large]])
    assert np.isfinite(u).all() and np.isfinite(log_det).all()
    most = np.log(np.finfo(dtype).max)
    assert (np.log(-flow.log_prob([[large], [-large]])) > most - 2).all()


def test_gradients() -> None:
    rng = np.random.default_rng(4)
    params = rng.normal(size=(9, 2))
    at = np.concatenate([2 * rng.normal(size=(8, 2)), [[-30.0, 20.0], [15.0, -40.0]]])
    for transform, own in (
        (cf.MixtureNormal(3), params),
        (cf.MixtureNormal(3, equal_weights=True), params[:6]),
    ):
        check_gradients(transform, own, at)
        check_float32_gradients(transform, own, at)
    check_gradients(cf.MixtureNormal(3, epsilon=1e-3), params, 0.3 * at[:8])


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows(dtype: str) -> None:
    check_rows(cf.MixtureNormal(), np.random.default_rng(3).normal(size=(24, 4)), dtype)


@pytest.mark.parametrize("count", [1, 2, 8, 64])
def test_zeros_are_near_the_identity(count: int) -> None:
    flow = flow_of(cf.MixtureNormal(count), np.zeros((3 * count, 1)))
    x = np.linspace(-30, 30, 601)[:, None]
    u, log_det = flow.inverse(x)
    np.testing.assert_allclose(u, -u[::-1], rtol=0, atol=1e-13)
    assert np.abs(u - x).max() < 1.0 + 1e-12
    assert np.exp(log_det).min() > 0.6 and log_det.max() < 0.05


def test_it_learns_modes() -> None:
    rng = np.random.default_rng(0)
    x = (rng.choice([-2.0, 0.0, 1.5], size=4000) + 0.2 * rng.normal(size=4000))[:, None]
    flow = cf.Flow([cf.Elementwise(cf.MixtureNormal(6))], features=1, seed=0)
    flow.fit(x, epochs=60, optimizer=cf.Adam(1e-2), seed=0, progress=False)
    truth = np.log(sum(stats.norm.pdf(x[:, 0], mean, 0.2) / 3 for mean in (-2.0, 0.0, 1.5)))
    assert truth.mean() - flow.log_prob(x).mean() < 0.03


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"components": 0}, "components must be from 1 to 64, got 0"),
        ({"components": 65}, "components must be from 1 to 64, got 65"),
        ({"spread": -1.0}, "spread must be from 0 to 1e6, got -1"),
        ({"epsilon": 0.6}, "epsilon must be from 0 to 0.5, got 0.6"),
        ({"scale": "no such form"}, "scale"),
    ],
)
def test_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cf.MixtureNormal(**options)
