"""Linear, quadratic and cubic splines against their papers' formulas, and where they could go
wrong: at knots, at the ends and an ulp beside them, far outside, and for unconstrained parameters
of any size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

import cflows as cf
from differences import gradient

DTYPES = ("float32", "float64")
LOW, HIGH = -2.0, 3.0
SPAN = HIGH - LOW

Array = np.ndarray


def shares(params: Array, least: float) -> Array:
    """Sizes of the bins along one axis, which add up to 1."""
    share = np.exp(params - params.max())
    return least + (1 - least * len(params)) * share / share.sum()


@dataclass(frozen=True)
class Curve:
    """A spline of one feature by its definition: knots, and the coefficients of each piece in
    powers of u - places[k], constant first."""

    places: Array
    values: Array
    coefficients: Array  # [bins, degree + 1]

    def __call__(self, u: Array) -> tuple[Array, Array]:
        k = np.clip(np.searchsorted(self.places, u, side="right") - 1, 0, len(self.places) - 2)
        way, c = u - self.places[k], self.coefficients[k].T
        value = sum(c[i] * way**i for i in range(len(c)))
        slope = sum(i * c[i] * way ** (i - 1) for i in range(1, len(c)))
        return value, slope


def cumulated(sizes: Array) -> Array:
    return LOW + SPAN * np.concatenate([[0.0], np.cumsum(sizes)])


def linear(params: Array, bins: int, kind: Kind) -> Curve:
    """Müller et al. 2019, section 4.1: the cumulated masses and, in between, straight lines."""
    mass = shares(params, kind.min_bin)
    places, values = np.linspace(LOW, HIGH, bins + 1), cumulated(mass)
    return Curve(places, values, np.stack([values[:-1], mass * bins], axis=1))


def quadratic(params: Array, bins: int, kind: Kind) -> Curve:
    """Müller et al. 2019, section 4.2: densities at the knots, divided by their integral by
    the trapezoidal rule."""
    width, e = (
        shares(params[:bins], kind.min_bin),
        np.exp(params[bins:] - params[bins:].max(initial=0.0)),
    )

    def integral(v: Array) -> float:
        return float(np.sum((v[1:] + v[:-1]) / 2 * width))

    if kind.tails == "free":
        v = e / integral(e)
    elif bins == 1:
        v = np.ones(2)
    else:
        ends, inner = np.pad(np.zeros(bins - 1), 1, constant_values=1.0), np.pad(e, 1)
        v = ends + inner * (1 - integral(ends)) / integral(inner)
    v = kind.min_slope + (1 - kind.min_slope) * v
    assert integral(v) == pytest.approx(1.0, abs=1e-12)
    values = cumulated((v[1:] + v[:-1]) / 2 * width)
    bend = np.diff(v) / (2 * width * SPAN)
    return Curve(cumulated(width), values, np.stack([values[:-1], v[:-1], bend], axis=1))


def cubic(params: Array, bins: int, kind: Kind) -> Curve:
    """Durkan et al. 2019, with the slopes of Steffen 1990: a cubic in powers a bin."""
    width, height = (
        SPAN * shares(r, kind.min_bin) for r in (params[:bins], params[bins : 2 * bins])
    )
    least = kind.min_slope
    s = height / width
    p = (s[:-1] * width[1:] + s[1:] * width[:-1]) / (width[:-1] + width[1:])
    inner = (np.sign(s[:-1]) + np.sign(s[1:])) * np.minimum(np.minimum(s[:-1], s[1:]), p / 2)
    with np.errstate(over="ignore"):
        ends = (least + 3 * (1 - least) / (1 + np.exp(-params[2 * bins :]))) * s[[0, -1]]
    d = np.concatenate([ends[:1], inner, ends[1:]])
    values = cumulated(height / SPAN)
    square = (3 * s - 2 * d[:-1] - d[1:]) / width
    cube = (d[:-1] + d[1:] - 2 * s) / width**2
    places = cumulated(width / SPAN)
    return Curve(places, values, np.stack([values[:-1], d[:-1], square, cube], axis=1))


@dataclass(frozen=True)
class Kind:
    """A spline with its tails: constructor, definition, unconstrained parameters of so many
    bins."""

    spec: Callable[..., Any]
    curve: Callable[[Array, int, Kind], Curve]
    numbers: Callable[[int], int]
    tails: str = "linear"
    min_bin: float = 1e-3
    min_slope: float = 1e-3

    def flow(self, params: Array, bins: int, dtype: str = "float64") -> cf.Flow:
        """One spline a column of params [numbers, features]."""
        options = {"minimum_bin": self.min_bin}
        if self.spec is not cf.LinearSpline:
            options |= {"tails": self.tails, "minimum_slope": self.min_slope}
        spline = self.spec(bins, box=[LOW, HIGH], **options)
        flow = cf.Flow([cf.Elementwise(spline)], features=params.shape[1], dtype=dtype, seed=0)
        flow.parameters["layers.0.conditioner.constant"][...] = params.ravel()
        return flow

    def curves(self, params: Array, bins: int) -> list[Curve]:
        return [self.curve(column, bins, self) for column in params.T]

    def truth(self, u: Array, params: Array, bins: int) -> tuple[Array, Array]:
        """Values and derivatives by the definition."""
        both = [c(column) for c, column in zip(self.curves(params, bins), u.T, strict=True)]
        return np.stack([v for v, _ in both], axis=1), np.stack([d for _, d in both], axis=1)


KINDS = {
    "linear": Kind(cf.LinearSpline, linear, lambda bins: bins),
    "quadratic": Kind(cf.QuadraticSpline, quadratic, lambda bins: 2 * bins - 1),
    "quadratic-free": Kind(cf.QuadraticSpline, quadratic, lambda bins: 2 * bins + 1, "free"),
    "cubic": Kind(cf.CubicSpline, cubic, lambda bins: 2 * bins + 2),
    "cubic-free": Kind(cf.CubicSpline, cubic, lambda bins: 2 * bins + 2, "free"),
}
ALL = pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))


def extreme(kind: Kind, bins: int, features: int) -> Array:
    """Unconstrained parameters up to 1e4 of either sign."""
    rng = np.random.default_rng(2)
    sizes = [-1e4, -1e2, -1.0, 0.0, 1.0, 1e2, 1e4]
    return rng.choice(sizes, size=(kind.numbers(bins), features))


def special_points(dtype: str, curves: list[Curve]) -> Array:
    """Knots and ends, their neighbours on both sides, zeros, and what is far outside."""
    knots = np.unique([a for c in curves for a in (c.places, c.values)]).astype(dtype)
    near = [np.nextafter(knots, np.array(side, dtype)) for side in (-np.inf, np.inf)]
    most = np.finfo(dtype).max
    far = np.array([most, -most, 1e10, -1e10, 0.0, -0.0, np.finfo(dtype).tiny], dtype)
    return np.unique(np.concatenate([knots, *near, far]))


@pytest.mark.parametrize("least", [(1e-3, 1e-3), (0.02, 0.3), (0.1, 0.9)], ids=str)
@pytest.mark.parametrize("bins", [1, 2, 3, 8, 40, 128])
@ALL
def test_values_by_the_definition(kind: Kind, bins: int, least: tuple[float, float]) -> None:
    kind = replace(kind, min_bin=min(least[0], 0.8 / bins), min_slope=least[1])
    rng = np.random.default_rng(bins)
    params = 2 * rng.normal(size=(kind.numbers(bins), 3))
    u = rng.uniform(LOW, HIGH, size=(500, 3))
    expected, slopes = kind.truth(u, params, bins)
    x, log_det = kind.flow(params, bins).forward(u)
    np.testing.assert_allclose(x, expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(log_det, np.log(slopes).sum(axis=1), rtol=0, atol=1e-9)
    back, log_det_back = kind.flow(params, bins).inverse(expected)
    np.testing.assert_allclose((back - u) * slopes, 0, rtol=0, atol=1e-12)
    np.testing.assert_allclose(log_det_back, -np.log(slopes).sum(axis=1), rtol=0, atol=1e-8)


@pytest.mark.parametrize("dtype", DTYPES)
@ALL
def test_parameters_of_any_size(kind: Kind, dtype: str) -> None:
    """For unconstrained parameters up to 1e4 of either sign everything is finite, values are those
    of the definition, and what lies between the ends stays there, in its order but for rounding."""
    bins, eps = 8, np.finfo(dtype).eps
    params = extreme(kind, bins, 100)
    flow = kind.flow(params, bins, dtype)
    inside = np.linspace(LOW, HIGH, 301).astype(dtype)
    points = np.unique(
        np.concatenate([inside, special_points(dtype, kind.curves(params[:, :5], bins))])
    )
    if kind.tails == "free":  # far outside, slopes of 1e3 overflow, as they should
        points = points[np.abs(points) <= 1e10]
    rows = np.repeat(points[:, None], params.shape[1], axis=1)
    between = (points >= LOW) & (points <= HIGH)
    value, _ = kind.truth(rows[between].astype("float64"), params, bins)
    for direction, apply in (("forward", flow.forward), ("inverse", flow.inverse)):
        out, log_det = apply(rows)
        assert np.isfinite(out).all() and np.isfinite(log_det).all()
        assert out[between].min() >= LOW and out[between].max() <= HIGH
        pulled = flow.vjp(rows, np.ones(rows.shape), np.ones(len(rows)), direction=direction)
        assert np.isfinite(pulled.x).all()
        assert all(np.isfinite(g).all() for g in pulled.parameters.values())
        if direction == "forward":
            assert np.diff(out[between], axis=0).min() >= -20 * eps
            # A knot's place is rounded, so that values beside it are uncertain by eps times slope.
            assert np.all(
                np.abs(out[between] - value) <= 100 * eps * (1 + steepest(kind, params, bins))
            )
        else:
            y, _ = flow.forward(out[between])
            assert np.all(
                np.abs(y - rows[between]) <= 100 * eps * (1 + steepest(kind, params, bins))
            )


def steepest(kind: Kind, params: Array, bins: int) -> Array:
    """The largest slope of each feature."""
    fine = np.repeat(np.linspace(LOW, HIGH, 20_001)[:, None], params.shape[1], axis=1)
    return kind.truth(fine, params, bins)[1].max(axis=0)


@pytest.mark.parametrize("dtype", DTYPES)
@ALL
def test_float32_follows_the_definition(kind: Kind, dtype: str) -> None:
    """Values and log-determinants of both directions, in units of rounding."""
    rng = np.random.default_rng(11)
    eps, bins = np.finfo(dtype).eps, 8
    params = rng.normal(size=(kind.numbers(bins), 20)).astype("float32").astype("float64")
    u = rng.uniform(LOW, HIGH, size=(500, 20)).astype(dtype)
    flow = kind.flow(params, bins, dtype)
    expected, slopes = kind.truth(u.astype("float64"), params, bins)
    x, log_det = flow.forward(u)
    assert np.abs(x - expected).max() <= 100 * eps
    if kind.curve is not linear:  # whose derivative jumps, where a knot is rounded over a point
        assert np.abs(log_det - np.log(slopes).sum(axis=1)).max() <= 2000 * eps
    back, log_det_back = flow.inverse(x)
    assert np.abs((back - u) * slopes).max() <= 50 * eps
    if kind.curve is not linear:
        assert np.abs(log_det + log_det_back).max() <= 2000 * eps


@pytest.mark.parametrize("dtype", DTYPES)
@ALL
def test_at_the_ends(kind: Kind, dtype: str) -> None:
    """An end is mapped to itself, and so are, within rounding, its neighbours."""
    params = np.random.default_rng(7).normal(size=(kind.numbers(5), 6))
    flow = kind.flow(params, 5, dtype)
    for end in (LOW, HIGH):
        at = np.full((1, 6), end, dtype)
        for apply in (flow.forward, flow.inverse):
            assert np.array_equal(apply(at)[0], at)
            for side in (-np.inf, np.inf):
                near = np.nextafter(at, np.array(side, dtype))
                assert np.abs(apply(near)[0] - at).max() <= 100 * np.finfo(dtype).eps


@ALL
def test_at_the_knots(kind: Kind) -> None:
    """Values are those of the knots, from both sides; so are slopes, unless they jump."""
    params = np.random.default_rng(3).normal(size=(kind.numbers(6), 1))
    flow, (curve,) = kind.flow(params, 6), kind.curves(params, 6)
    for shift in (-1e-12, 0.0, 1e-12):
        inner = np.clip(curve.places + shift, LOW, HIGH)[:, None]
        x, log_det = flow.forward(inner)
        np.testing.assert_allclose(x[:, 0], curve.values, rtol=0, atol=1e-10)
        if kind.curve is not linear:
            slopes = np.append(curve.coefficients[:, 1], curve(np.array([HIGH]))[1])
            np.testing.assert_allclose(np.exp(log_det), slopes, rtol=1e-6)


@ALL
def test_beyond_the_ends(kind: Kind) -> None:
    """The identity, or with free tails a line of the slope at the end."""
    params = np.random.default_rng(1).normal(size=(kind.numbers(4), 2))
    flow = kind.flow(params, 4)
    u = np.array([[LOW - 0.5, HIGH + 1e6], [HIGH + 1e-3, LOW - 1e-9], [-1e30, 1e30]])
    end = np.where(u < LOW, LOW, HIGH)
    slopes = kind.truth(end, params, 4)[1] if kind.tails == "free" else np.ones_like(u)
    x, log_det = flow.forward(u)
    np.testing.assert_allclose(x, end + slopes * (u - end), rtol=1e-14)
    np.testing.assert_allclose(log_det, np.log(slopes).sum(axis=1), rtol=0, atol=1e-13)
    back, log_det_back = flow.inverse(x)
    np.testing.assert_allclose(back, u, rtol=1e-15)
    np.testing.assert_allclose(log_det_back, -log_det, rtol=0, atol=1e-14)


def assert_gradients(
    flow: cf.Flow, at: Array, direction: str, rng: np.random.Generator, tolerance: float = 1e-7
) -> None:
    """Those with respect to points and all unconstrained parameters are what differences say."""
    value, log_det = rng.normal(size=at.shape), rng.normal(size=len(at))
    ours = flow.vjp(at, value, log_det, direction=direction)
    apply = flow.forward if direction == "forward" else flow.inverse

    def f() -> np.longdouble:
        out, ld = apply(at)
        return np.sum(out * value, dtype=np.longdouble) + np.sum(ld * log_det, dtype=np.longdouble)

    (name,) = flow.parameters
    for found, array in ((ours.x, at), (ours.parameters[name], flow.parameters[name])):
        truth = gradient(f, array, 2e-4)
        assert np.linalg.norm(found - truth) <= tolerance * np.linalg.norm(truth) + 1e-10


@pytest.mark.parametrize("direction", ["forward", "inverse"])
@pytest.mark.parametrize("bins", [1, 2, 5])
@ALL
def test_gradients_within_and_beyond(kind: Kind, bins: int, direction: str) -> None:
    rng = np.random.default_rng(4)
    flow = kind.flow(rng.normal(size=(kind.numbers(bins), 2)), bins)
    inside = rng.uniform(LOW, HIGH, size=(12, 2))
    at = np.concatenate([inside, [[LOW - 1.7, HIGH + 2.3], [0.1, HIGH + 0.4]]])
    assert_gradients(flow, at, direction, rng)


@pytest.mark.parametrize("direction", ["forward", "inverse"])
@ALL
def test_gradients_for_parameters_of_any_size(kind: Kind, direction: str) -> None:
    """Slopes of 1e3 and bins of 1e-3 cost the differences some digits."""
    params, rng = extreme(kind, 8, 30), np.random.default_rng(5)
    flow = kind.flow(params, 8)
    at = rng.uniform(LOW, HIGH, size=(4, 30))
    assert_gradients(flow, at, direction, rng, tolerance=1e-6)


@pytest.mark.parametrize("direction", ["forward", "inverse"])
@ALL
def test_float32_gradients_follow_float64(kind: Kind, direction: str) -> None:
    """Unconstrained parameters that make some bins as small as they get."""
    rng = np.random.default_rng(8)
    params = (4 * rng.normal(size=(kind.numbers(8), 10))).astype("float32").astype("float64")
    at = rng.uniform(LOW - 0.3, HIGH + 0.3, size=(200, 10)).astype("float32")
    value, log_det = rng.normal(size=at.shape), rng.normal(size=len(at))
    narrow, wide = (
        kind.flow(params, 8, dtype).vjp(at, value, log_det, direction=direction) for dtype in DTYPES
    )
    (name,) = wide.parameters
    pairs = ((narrow.x, wide.x), (narrow.parameters[name], wide.parameters[name]))
    for found, truth in pairs:
        assert np.linalg.norm(found - truth) <= 2e-3 * np.linalg.norm(truth)


@ALL
def test_a_nan_stays_in_its_row(kind: Kind) -> None:
    flow = kind.flow(np.random.default_rng(5).normal(size=(kind.numbers(4), 2)), 4)
    u = np.array([[0.5, 0.5], [np.nan, 0.5], [0.5, np.inf], [1.0, 1.0]])
    for apply in (flow.forward, flow.inverse):
        x, log_det = apply(u)
        assert np.isnan(x[1, 0]) and np.isnan(log_det[1])
        assert x[2, 1] == np.inf
        assert np.isfinite(x[[0, 3]]).all() and np.isfinite(log_det[[0, 2, 3]]).all()
        assert np.array_equal(apply(u[[0, 3]])[0], x[[0, 3]])


@pytest.mark.parametrize("dtype", DTYPES)
def test_flat_cubics_come_back(dtype: str) -> None:
    """One bin whose slope all but vanishes in the middle, or at an end: the hardest to invert."""
    eps = np.finfo(dtype).eps
    u = np.linspace(LOW, HIGH, 4001).astype(dtype)[:, None]
    for ends in ([50.0, 50.0], [-50.0, -50.0], [50.0, -50.0], [0.0, 50.0]):
        params = np.array([0.0, 0.0, *ends])[:, None]
        flow = KINDS["cubic"].flow(params, 1, dtype)
        x, _ = flow.forward(u)
        back, log_det = flow.inverse(x)
        slope = KINDS["cubic"].truth(back.astype("float64"), params, 1)[1]
        assert np.abs((back - u) * np.minimum(slope, 1.0)).max() <= 20 * eps
        np.testing.assert_allclose(np.exp(-log_det), slope[:, 0], rtol=1e4 * eps)
        assert np.abs(flow.forward(back)[0] - x).max() <= 20 * eps


@pytest.mark.parametrize("direction", ["forward", "inverse"])
@ALL
def test_bins_that_rounding_makes_empty(kind: Kind, direction: str) -> None:
    """Far from zero, float32 cannot tell the knots of the least bins apart."""
    low, options = 1e4, {} if kind.curve is linear else {"tails": kind.tails}
    spline = kind.spec(8, box=[low, low + 1], minimum_bin=1e-7, **options)
    flow = cf.Flow([cf.Elementwise(spline)], features=50, dtype="float32", seed=0)
    flow.parameters["layers.0.conditioner.constant"][...] = extreme(kind, 8, 50).ravel()
    u = np.linspace(low - 0.1, low + 1.1, 200).astype("float32")
    rows = np.repeat(u[:, None], 50, axis=1)
    out, log_det = getattr(flow, direction)(rows)
    assert np.isfinite(out).all() and np.isfinite(log_det).all()
    between = out[(u >= low) & (u <= low + 1)]
    assert between.min() >= low and between.max() <= low + 1
    pulled = flow.vjp(rows, np.ones(rows.shape), np.ones(len(rows)), direction=direction)
    assert np.isfinite(pulled.x).all()
    assert all(np.isfinite(g).all() for g in pulled.parameters.values())


def test_zero_parameters_are_the_identity() -> None:
    """Where all bins and densities are alike, the line is straight."""
    u = np.linspace(LOW, HIGH, 101)[:, None]
    for name in ("linear", "quadratic", "quadratic-free"):
        kind = KINDS[name]
        x, log_det = kind.flow(np.zeros((kind.numbers(8), 1)), 8).forward(u)
        np.testing.assert_allclose(x, u, rtol=0, atol=1e-14)
        np.testing.assert_allclose(log_det, 0, rtol=0, atol=1e-13)


def test_the_factor_is_on_parameters() -> None:
    rng = np.random.default_rng(9)
    u = rng.uniform(-1, 1, size=(50, 3))
    for spec, numbers in ((cf.LinearSpline, 4), (cf.QuadraticSpline, 7)):
        params = rng.normal(size=(numbers, 3))
        results = []
        for factor, scale in ((0.5, 1.0), (1.0, 0.5)):
            layer = cf.Elementwise(spec(4, 1.0, factor=factor))
            flow = cf.Flow([layer], features=3, dtype="float64", seed=0)
            flow.parameters["layers.0.conditioner.constant"][...] = scale * params.ravel()
            results.append(flow.forward(u)[0])
        assert np.array_equal(*results)
