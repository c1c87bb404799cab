"""Maps, scales and bases at the ends of what a type holds, against arithmetic of 60 digits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import pytest

import cflows as cf

mp.mp.dps = 60
DTYPES = ("float32", "float64")
Number = Callable[[Any], Any]


def ends(dtype: str) -> dict[str, float]:
    info = np.finfo(dtype)
    return {
        "tiny": float(info.tiny),
        "max": float(info.max),
        "below one": float(np.nextafter(np.dtype(dtype).type(1), np.dtype(dtype).type(0))),
        "log max": float(np.log(info.max)) * 0.999,
    }


# A layer, its map, the logarithm of its slope, and points of either side by what `ends` says.
MAPS: dict[str, tuple[cf.Layer, Number, Number, Callable[[dict[str, float]], list[float]]]] = {
    "exp": (
        cf.Exp(),
        mp.exp,
        lambda u: u,
        lambda e: [-0.98 * e["log max"], -1.0, -1e-10, 0.0, 1e-10, 3.0, 0.999 * e["log max"]],
    ),
    "log": (
        cf.Log(),
        mp.log,
        lambda u: -mp.log(u),
        lambda e: [e["tiny"], 1e-10, e["below one"], 1.0, 3.0, e["max"]],
    ),
    "sigmoid": (
        cf.Sigmoid(-1.0, 1.0),
        lambda u: mp.tanh(u / 2),
        lambda u: mp.log(2) - u - 2 * mp.log1p(mp.exp(-u)),
        lambda e: [-12.0, -1.0, 1e-10, 0.3, 5.0, 14.0],
    ),
    "logit": (
        cf.Logit(-1.0, 1.0),
        lambda u: mp.log((1 + u) / (1 - u)),
        lambda u: mp.log(2 / ((1 + u) * (1 - u))),
        lambda e: [-e["below one"], -0.5, 1e-10, 0.3, 0.999, e["below one"]],
    ),
    "mobius": (
        cf.Mobius(0.0, 1e-5),
        lambda u: 2 * mp.atan(mp.mpf(1e-5) * mp.tan(u / 2)),
        lambda u: (
            mp.log(mp.mpf(1e-5)) - mp.log(mp.cos(u / 2) ** 2 + (mp.mpf(1e-5) * mp.sin(u / 2)) ** 2)
        ),
        lambda e: [-3.14159, -1.0, -1e-10, e["tiny"], 0.3, 3.0, 3.1415],
    ),
    "tanh": (
        cf.Tanh(),
        mp.tanh,
        lambda u: -2 * mp.log(mp.cosh(u)),
        lambda e: [-7.0, -1.0, -1e-10, e["tiny"], 0.3, 1.0, 7.0],
    ),
    "softplus": (
        cf.Softplus(),
        lambda u: mp.log1p(mp.exp(u)),
        lambda u: -mp.log1p(mp.exp(-u)),
        lambda e: [-0.98 * e["log max"], -40.0, -1.0, 0.0, 1.0, 40.0, 0.1 * e["max"]],
    ),
    "sinh": (
        cf.Sinh(),
        mp.sinh,
        lambda u: mp.log(mp.cosh(u)),
        lambda e: [-0.999 * e["log max"], -1.0, -1e-10, e["tiny"], 0.3, 21.0, e["log max"]],
    ),
    "arcsinh": (
        cf.Arcsinh(),
        mp.asinh,
        lambda u: -mp.log1p(mp.mpf(u) ** 2) / 2,
        lambda e: [-0.5 * e["max"], -1e5, -1.0, 1e-10, e["tiny"], 0.3, 1e10, 0.5 * e["max"]],
    ),
    "square": (
        cf.Power(2.0),
        lambda u: mp.mpf(u) ** 2,
        lambda u: mp.log(2) + mp.log(u),
        lambda e: [1e-10, e["below one"], 1.0, 3.0, 1e18],
    ),
    "first power": (
        cf.Power(1.0),
        lambda u: u,
        lambda u: mp.mpf(0),
        lambda e: [e["tiny"], 1e-10, e["below one"], 3.0, e["max"]],
    ),
    "softclip": (
        cf.Softclip(3.0),
        lambda u: u / (1 + abs(u) / 3),
        lambda u: -2 * mp.log1p(abs(u) / 3),
        lambda e: [-40.0, -1.0, -1e-10, e["tiny"], 0.3, 2.9, 3.1, 1e3],
    ),
    "inverse of softclip": (
        cf.Inverse(cf.Softclip(1.0)),
        lambda u: u / (1 - abs(u)),
        lambda u: -2 * mp.log1p(-abs(u)),
        lambda e: [-e["below one"], -0.5, 1e-10, 0.3, 0.999, e["below one"]],
    ),
    "inverse cube": (
        cf.Power(-3.0),
        lambda u: mp.mpf(u) ** -3,
        lambda u: mp.log(3) - 4 * mp.log(u),
        lambda e: [1e-10, e["below one"], 1.0, 3.0, 1e10],
    ),
}
CASES = [(name, dtype) for name in MAPS for dtype in DTYPES]


def points_of(name: str, dtype: str) -> np.ndarray:
    return np.array(MAPS[name][3](ends(dtype)), dtype)


def true(function: Number, points: np.ndarray) -> list[Any]:
    return [function(mp.mpf(float(p))) for p in points]


def ulps(found: np.ndarray, truth: list[Any], dtype: str) -> float:
    """The largest difference in units of the last place of the truth."""
    unit = [max(abs(t), mp.mpf(float(np.finfo(dtype).tiny))) for t in truth]
    eps = mp.mpf(float(np.finfo(dtype).eps))
    return float(
        max(
            abs(mp.mpf(float(f)) - t) / (u * eps)
            for f, t, u in zip(found, truth, unit, strict=True)
        )
    )


def slope_of(function: Number, point: float) -> float:
    """By differences, of which 60 digits leave 30 right."""
    p, h = mp.mpf(point), mp.mpf(10) ** -30 * (abs(mp.mpf(point)) or 1)
    return float((function(p + h) - function(p - h)) / (2 * h))


@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_values_and_log_dets(name: str, dtype: str) -> None:
    layer, value, log_slope, _ = MAPS[name]
    points = points_of(name, dtype)
    x, log_det = cf.Flow([layer], 1, dtype=dtype).forward(points[:, None])
    assert ulps(x[:, 0], true(value, points), dtype) <= 4
    truth = [mp.mpf(float(t)) for t in true(log_slope, points)]
    error = np.abs([float(mp.mpf(float(d)) - t) for d, t in zip(log_det, truth, strict=True)])
    size = np.maximum(1.0, np.abs([float(t) for t in truth]))
    assert (error <= 4 * np.finfo(dtype).eps * size).all()


@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_inverses_and_scores(name: str, dtype: str) -> None:
    """The flow whose data side the map is: at the map's values, in float64, which hold them."""
    layer, value, log_slope, _ = MAPS[name]
    points = points_of(name, dtype).astype(np.float64)
    x = np.array([float(v) for v in true(value, points)])
    flow = cf.Flow([layer], 1, dtype=dtype)
    u, log_det = flow.inverse(x[:, None])
    eps, size = np.finfo(dtype).eps, np.maximum(1.0, np.abs(points))
    slope = np.array([float(mp.exp(s)) for s in true(log_slope, points)])
    lost = np.abs(x) * 2.0**-53 / slope  # by the rounding of x to float64
    # The exponent -1 / 3 is itself rounded, and raises numbers of many decades.
    units = 16 if name == "inverse cube" else 4
    assert (np.abs(u[:, 0] - points) <= units * eps * size + 2 * lost).all()
    bend = np.array([slope_of(log_slope, p) for p in points])
    truth = np.array([-float(s) for s in true(log_slope, points)])
    tolerance = 4 * eps * np.maximum(1.0, np.abs(truth)) + 2 * lost * np.abs(bend)
    assert (np.abs(log_det - truth) <= tolerance).all()
    score = flow.grad_log_prob(x[:, None])[:, 0]
    with np.errstate(over="ignore"):
        expected = -(points + bend) / (slope * np.sign([slope_of(value, p) for p in points]))
    held = (np.abs(expected) < 0.1 * np.finfo(dtype).max) & (np.abs(points) < 1e8)
    np.testing.assert_allclose(score[held], expected[held], rtol=1e6 * eps, atol=1e6 * eps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("df", [1e-80, 1e-6, 0.01, 0.1, 0.5, 0.999, 1.0, 5.0, 1e6])
def test_students_t_holds_to_the_ends(df: float, dtype: str) -> None:
    """Below one degree of freedom, u / sqrt(df) is beyond the type at u within it."""
    flow = cf.Flow([], 1, base=cf.StudentT(df), dtype=dtype)
    tiny, max = np.finfo(dtype).tiny, np.finfo(dtype).max
    far = [0.03 * max, 0.3 * max, 0.9 * max, max, -max]
    u = np.array([0.0, tiny, 1e-20, 1e-3, 30.0, 1e10, *far], dtype)

    def log_density(x: Any) -> Any:
        n = mp.mpf(df)
        constant = mp.loggamma((n + 1) / 2) - mp.loggamma(n / 2) - mp.log(mp.pi * n) / 2
        return constant - (n + 1) / 2 * mp.log1p(x**2 / n)

    truth = np.array([float(t) for t in true(log_density, u)])
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(flow.log_prob(u[:, None]), truth, rtol=4 * eps, atol=16 * eps)
    score = [float(-(mp.mpf(df) + 1) * x / (df + x**2)) for x in map(mp.mpf, map(float, u))]
    np.testing.assert_allclose(flow.grad_log_prob(u[:, None])[:, 0], score, rtol=1e3 * eps)


def test_students_t_of_the_issue() -> None:
    flow = cf.Flow([], 1, base=cf.StudentT(1.0))
    assert flow.log_prob([[1e20]])[0] == pytest.approx(-93.248, abs=1e-3)


@pytest.mark.parametrize("df", [0.001, 0.01, 0.05, 0.1])
def test_samples_of_heavy_tails_overflow_as_rarely_as_they_must(df: float) -> None:
    from scipy import stats

    n = 1_000_000
    samples = cf.Flow([], 1, base=cf.StudentT(df)).sample(n, seed=0)
    beyond = 2 * stats.t(df).sf(float(np.finfo(np.float32).max))
    deviation = np.sqrt(beyond * (1 - beyond) / n)
    assert np.isinf(samples).mean() == pytest.approx(beyond, abs=3 * deviation)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("a", [-3000.0, -700.0, -105.0, -61.0, -59.0, -1.0, 30.0])
def test_a_softplus_scale_has_its_logarithm_everywhere(a: float, dtype: str) -> None:
    flow = cf.Flow([cf.Elementwise(cf.AffineTransform("softplus"))], 1, dtype=dtype)
    (parameter,) = flow.parameters.values()
    raw = parameter.reshape(-1)
    raw[:] = 0.0
    found = []
    for k in range(raw.size):  # the unconstrained scale is one of them
        raw[:] = 0.0
        raw[k] = a
        found.append(float(flow.forward([[0.0]])[1][0]))
    truth = float(mp.log(mp.log1p(mp.exp(mp.mpf(a)))))
    base = float(mp.log(mp.log(2)))
    assert any(f == pytest.approx(truth, rel=1e-6) for f in found)
    assert all(np.isfinite(found)) and any(f == pytest.approx(base, rel=1e-6) for f in found)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("log_scale", [-2000.0, 2000.0])
def test_an_infinite_scale_of_nothing_is_nothing(log_scale: float, dtype: str) -> None:
    """Where the exponential overflows, the one point that it does not move stays where it was."""
    flow = cf.Flow([cf.Elementwise("affine", scale="exp")], features=2, dtype=dtype)
    flow.parameters["layers.0.conditioner.constant"][...] = [log_scale, log_scale, 0.5, -0.25]
    u, log_det = flow.inverse([[0.5, -0.25]])
    np.testing.assert_array_equal(u, [[0.0, 0.0]])
    np.testing.assert_array_equal(log_det, [-2 * log_scale])
    np.testing.assert_array_equal(flow.forward([[0.0, 0.0]])[0], [[0.5, -0.25]])
    assert flow.log_prob([[0.5, -0.25]])[0] == pytest.approx(-np.log(2 * np.pi) - 2 * log_scale)
    np.testing.assert_array_equal(flow.grad_log_prob([[0.5, -0.25]]), [[0.0, 0.0]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_scores_where_the_scale_of_a_coupling_is_infinite(dtype: str) -> None:
    """The second feature is normal around 0.5, of deviation exp(-1000 x0): its density is
    infinite at 0.5, and 0 beside it."""
    transform = cf.AffineTransform("exp")
    flow = cf.Flow([cf.Coupling("half", hidden=(), transform=transform)], 2, dtype=dtype)
    for name, value in flow.parameters.items():
        value[...] = [[-1000.0], [0.0]] if name.endswith("weight") else [0.0, 0.5]
    points = np.array([[2.0, 0.5], [2.0, 0.6], [2.0, np.nan]])
    log_prob, score = flow.log_prob(points), flow.grad_log_prob(points)
    assert log_prob[0] == pytest.approx(-np.log(2 * np.pi) - 2.0 + 2000.0)
    np.testing.assert_allclose(score[0], [-2.0 + 1000.0, 0.0], rtol=1e-6)
    assert log_prob[1] == -np.inf and (score[1] == 0.0).all()
    assert np.isnan(log_prob[2]) and np.isnan(score[2]).any()
