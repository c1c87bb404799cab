"""Rational-quadratic splines where they could go wrong: at knots, at the ends, far outside, and for
unconstrained parameters of any size.
"""

from __future__ import annotations

import numpy as np
import pytest

import cflows as cf
from differences import gradient

DTYPES = ("float32", "float64")
TAILS = ("linear", "circular", "free")
FORMS = ("softmax", "softclip")
LOW, HIGH = -2.0, 3.0


def elementwise(
    params: np.ndarray, tails: str = "linear", form: str = "softmax", dtype: str = "float64"
) -> cf.Flow:
    """One spline a column of params [numbers, features]."""
    count, features = params.shape
    bins = {"linear": (count + 1) // 3, "circular": count // 3, "free": (count - 1) // 3}[tails]
    spline = cf.Spline(bins, box=[LOW, HIGH], tails=tails, form=form)
    flow = cf.Flow([cf.Elementwise(spline)], features=features, dtype=dtype, seed=0)
    flow.parameters["layers.0.conditioner.constant"][...] = params.ravel()
    return flow


def numbers(bins: int, tails: str) -> int:
    return 2 * bins + {"linear": bins - 1, "circular": bins, "free": bins + 1}[tails]


def softmax(params: np.ndarray) -> np.ndarray:
    share = np.exp(params - params.max(axis=0))
    return share / share.sum(axis=0)


def softclip(params: np.ndarray, bound: float) -> np.ndarray:
    return params / (1 + np.abs(params) / bound)


def knots(
    params: np.ndarray, bins: int, tails: str, form: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places, values and slopes of the knots, by the definition."""
    sizes, slopes = (params[:bins], params[bins : 2 * bins]), params[2 * bins :]
    if form == "softmax":
        widths, heights = (1e-3 + (1 - 1e-3 * bins) * softmax(r) for r in sizes)
        slopes = 1e-3 + np.logaddexp(0, slopes)
    else:
        bound = -np.log(1e-3)
        widths, heights = (softmax(softclip(r, bound / 2)) for r in sizes)
        slopes = np.exp(softclip(slopes, bound))
    if tails == "linear":
        slopes = np.pad(slopes, ((1, 1), (0, 0)), constant_values=1.0)
    if tails == "circular":
        slopes = np.concatenate([slopes, slopes[:1]])
    ends = np.zeros((1, params.shape[1]))
    x, y = (
        LOW + (HIGH - LOW) * np.concatenate([ends, np.cumsum(sizes, axis=0)])
        for sizes in (widths, heights)
    )
    return x, y, slopes


def curve(
    x: np.ndarray, params: np.ndarray, bins: int, tails: str, form: str
) -> tuple[np.ndarray, np.ndarray]:
    """Value and derivative for x inside, by Durkan et al. 2019, equations 4 and 5."""
    places, values, slopes = knots(params, bins, tails, form)
    y, derivative = np.empty_like(x), np.empty_like(x)
    for f in range(x.shape[1]):
        k = np.clip(np.searchsorted(places[:, f], x[:, f], side="right") - 1, 0, bins - 1)
        width, height = (np.diff(a[:, f])[k] for a in (places, values))
        s, d0, d1 = height / width, slopes[k, f], slopes[k + 1, f]
        z = (x[:, f] - places[k, f]) / width
        u = z * (1 - z)
        q = s + (d1 + d0 - 2 * s) * u
        y[:, f] = values[k, f] + height * (s * z**2 + d0 * u) / q
        derivative[:, f] = s**2 * (d1 * z**2 + 2 * s * u + d0 * (1 - z) ** 2) / q**2
    return y, derivative


@pytest.mark.parametrize("bins", [1, 2, 3, 8, 40, 128])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("tails", TAILS)
def test_values_by_the_definition(tails: str, form: str, bins: int) -> None:
    rng = np.random.default_rng(bins)
    params = 2 * rng.normal(size=(numbers(bins, tails), 3))
    flow = elementwise(params, tails, form)
    u = rng.uniform(LOW, HIGH, size=(500, 3))
    x, log_det = flow.forward(u)
    expected, derivative = curve(u, params, bins, tails, form)
    np.testing.assert_allclose(x, expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(log_det, np.log(derivative).sum(axis=1), rtol=0, atol=1e-10)
    back, log_det_back = flow.inverse(expected)
    np.testing.assert_allclose((back - u) * derivative, 0, rtol=0, atol=1e-12)
    np.testing.assert_allclose(log_det_back, -np.log(derivative).sum(axis=1), rtol=0, atol=1e-8)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("tails", TAILS)
def test_beyond_the_ends(tails: str, form: str) -> None:
    """The identity, or with free tails a line of the slope at the end."""
    rng = np.random.default_rng(1)
    params = rng.normal(size=(numbers(4, tails), 2))
    flow = elementwise(params, tails, form)
    u = np.array([[LOW - 0.5, HIGH + 1e6], [HIGH + 1e-3, LOW - 1e-9], [-1e30, 1e30]])
    x, log_det = flow.forward(u)
    slopes = np.ones_like(u)
    if tails == "free":
        first, last = params[8], params[12]
        bound = -np.log(1e-3)
        if form == "softmax":
            first, last = (1e-3 + np.logaddexp(0, r) for r in (first, last))
        else:
            first, last = (np.exp(r / (1 + np.abs(r) / bound)) for r in (first, last))
        slopes = np.where(u < LOW, first, last)
    end = np.where(u < LOW, LOW, HIGH)
    np.testing.assert_allclose(x, end + slopes * (u - end), rtol=1e-15)
    np.testing.assert_allclose(log_det, np.log(slopes).sum(axis=1), rtol=0, atol=1e-14)
    back, log_det_back = flow.inverse(x)
    np.testing.assert_allclose(back, u, rtol=1e-15)
    np.testing.assert_allclose(log_det_back, -log_det, rtol=0, atol=1e-14)


def special_points(dtype: str) -> np.ndarray:
    """The ends, their neighbours on both sides, zeros, and what is far outside."""
    ends = np.array([LOW, HIGH], dtype)
    near = [np.nextafter(ends, np.array(side, dtype)) for side in (-np.inf, np.inf)]
    most = np.finfo(dtype).max
    far = np.array([most, -most, 1e10, -1e10, 0.0, -0.0, np.finfo(dtype).tiny], dtype)
    return np.concatenate([ends, *near, far])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("tails", TAILS)
def test_never_nan(tails: str, form: str, dtype: str) -> None:
    """For unconstrained parameters up to 1e4 of either sign, everything is finite, and what lies
    between the ends stays there, in its order but for rounding."""
    rng = np.random.default_rng(2)
    features = 200
    params = rng.choice([-1e4, -1e2, -1.0, 0.0, 1.0, 1e2, 1e4], size=(numbers(8, tails), features))
    flow = elementwise(params, tails, form, dtype)
    inside = np.linspace(LOW, HIGH, 301).astype(dtype)
    points = np.unique(np.concatenate([inside, special_points(dtype)]))
    # Far outside, free tails with slopes of 1e4 overflow, as they should.
    points = points[np.abs(points) <= 1e10]
    rows = np.repeat(points[:, None], features, axis=1)
    for direction, apply in (("forward", flow.forward), ("inverse", flow.inverse)):
        out, log_det = apply(rows)
        assert np.isfinite(out).all() and np.isfinite(log_det).all()
        between = out[(points >= LOW) & (points <= HIGH)]
        assert between.min() >= LOW and between.max() <= HIGH
        if direction == "forward":
            assert np.diff(between, axis=0).min() >= -20 * np.finfo(dtype).eps
        ones = np.ones(rows.shape)
        pulled = flow.vjp(rows, ones, np.ones(len(rows)), direction=direction)
        assert np.isfinite(pulled.x).all()
        assert all(np.isfinite(g).all() for g in pulled.parameters.values())


@pytest.mark.parametrize("tails", TAILS)
def test_at_the_knots(tails: str) -> None:
    """Values and slopes are those of the knots, from both sides."""
    rng = np.random.default_rng(3)
    params = rng.normal(size=(numbers(6, tails), 1))
    flow = elementwise(params, tails)
    places, values, slopes = knots(params, 6, tails, "softmax")
    for shift in (-1e-12, 0.0, 1e-12):
        inner = np.clip(places + shift, LOW, HIGH)
        x, log_det = flow.forward(inner)
        np.testing.assert_allclose(x, values, rtol=0, atol=1e-10)
        np.testing.assert_allclose(np.exp(log_det), slopes[:, 0], rtol=1e-8)


@pytest.mark.parametrize("direction", ["forward", "inverse"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("tails", TAILS)
def test_gradients_within_and_beyond(tails: str, form: str, direction: str) -> None:
    rng = np.random.default_rng(4)
    flow = elementwise(rng.normal(size=(numbers(5, tails), 2)), tails, form)
    at = np.array([[-1.234, 0.777], [2.111, -0.5], [LOW - 1.7, HIGH + 2.3], [0.1, HIGH + 0.4]])
    value, log_det = rng.normal(size=at.shape), rng.normal(size=len(at))
    ours = flow.vjp(at, value, log_det, direction=direction)
    apply = flow.forward if direction == "forward" else flow.inverse

    def f() -> np.longdouble:
        out, ld = apply(at)
        return np.sum(out * value, dtype=np.longdouble) + np.sum(ld * log_det, dtype=np.longdouble)

    (name,) = flow.parameters
    for found, array in ((ours.x, at), (ours.parameters[name], flow.parameters[name])):
        truth = gradient(f, array)
        assert np.linalg.norm(found - truth) <= 1e-7 * np.linalg.norm(truth)


@pytest.mark.parametrize("tails", TAILS)
def test_a_nan_stays_in_its_row(tails: str) -> None:
    flow = elementwise(np.random.default_rng(5).normal(size=(numbers(4, tails), 2)), tails)
    u = np.array([[0.5, 0.5], [np.nan, 0.5], [0.5, np.inf], [1.0, 1.0]])
    for apply in (flow.forward, flow.inverse):
        x, log_det = apply(u)
        assert np.isnan(x[1, 0]) and np.isnan(log_det[1])
        assert x[2, 1] == np.inf
        assert np.isfinite(x[[0, 3]]).all() and np.isfinite(log_det[[0, 3]]).all()
        assert np.array_equal(apply(u[[0, 3]])[0], x[[0, 3]])


def test_ten_layers_come_back() -> None:
    layers = []
    for i in range(10):
        layers.append(cf.Coupling("alternating", swap=i % 2 == 1, transform="spline", hidden=(16,)))
    flow = cf.Flow(layers, features=6, dtype="float64", seed=0)
    rng = np.random.default_rng(6)
    for parameter in flow.parameters.values():
        fan_in = parameter.shape[1] if parameter.ndim == 2 else 4
        parameter[...] = 0.6 * rng.normal(size=parameter.shape) / np.sqrt(fan_in)
    u = rng.normal(size=(1000, 6))
    x, log_det = flow.forward(u)
    back, log_det_back = flow.inverse(x)
    error = np.abs(back - u).max(axis=1)
    condition = np.linalg.cond(cf.jacobian(flow, u, direction="forward"))
    assert log_det.std() > 1
    assert (condition <= 1e4).mean() > 0.5
    assert error[condition <= 1e4].max() <= 1e-10
    assert (error <= 1e-14 * condition * (1 + np.abs(x).max(axis=1))).all()
    assert np.abs(log_det + log_det_back)[condition <= 1e4].max() <= 1e-10


@pytest.mark.parametrize("tails", TAILS)
@pytest.mark.parametrize("low", [1e4, 1e6])
def test_finite_where_rounding_leaves_nothing_of_a_bin(low, tails):
    """A box of width 1 so far from 0 that float32 has a thousand numbers in it, or sixteen."""
    spline = cf.Spline(8, box=[low, low + 1], tails=tails)
    flow = cf.Flow([cf.Elementwise(spline)], features=1, dtype="float32", seed=0)
    x = np.linspace(low, low + 1, 200, dtype=np.float32)[:, None]
    (params,) = flow.parameters.values()
    rng = np.random.default_rng(0)
    for size in (1, 10, 1e4) * 20:
        params[...] = size * rng.normal(size=params.shape)
        for direction in ("forward", "inverse"):
            y, log_det = getattr(flow, direction)(x)
            assert np.isfinite(y).all()
            assert np.isfinite(log_det).all()
            assert (np.diff(y[:, 0]) >= 0).all()
            found = flow.vjp(x, np.ones_like(x), np.ones(len(x)), direction=direction)
            assert np.isfinite(found.x).all()
            assert all(np.isfinite(array).all() for array in found.parameters.values())


NEW_SPLINES = {
    **{f"{tails}, {form}": cf.Spline(5, 2.0, tails=tails, form=form)
       for tails in TAILS for form in FORMS},
    "another minimum": cf.Spline(minimum_slope=0.3, minimum_bin=0.05),
    "quadratic": cf.QuadraticSpline(4, 2.0),
    "cubic": cf.CubicSpline(4, 2.0, minimum_slope=0.1),
    "of each its own": cf.MixedTransform(
        [cf.Spline(4), cf.CubicSpline(3, tails="free"), cf.LinearSpline(3)], which=[2, 0, 1, 1, 0]
    ),
}  # fmt: skip
LAYERS_OF = {
    "elementwise": lambda transform: cf.Elementwise(transform),
    "coupling": lambda transform: cf.Coupling(transform=transform, hidden=(6,)),
    "residual": lambda t: cf.Coupling("half", transform=t, conditioner=cf.ResidualNet(6)),
    "autoregressive": lambda t: cf.Autoregressive((3, 0, 4, 2, 1), transform=t, hidden=(6,)),
}


@pytest.mark.parametrize("layer", LAYERS_OF)
@pytest.mark.parametrize("name", NEW_SPLINES)
def test_a_new_spline_is_the_identity(name: str, layer: str) -> None:
    flow = cf.Flow([LAYERS_OF[layer](NEW_SPLINES[name])], 5, dtype="float64", seed=0)
    x = np.random.default_rng(0).uniform(-1.9, 1.9, (50, 5))
    u, log_det = flow.inverse(x)
    np.testing.assert_allclose(u, x, atol=1e-13)
    np.testing.assert_allclose(log_det, 0.0, atol=1e-13)


@pytest.mark.parametrize("conditioner", [cf.ConvNet((4,)), cf.ConvResidualNet(4, blocks=1)])
@pytest.mark.parametrize("mask", ["half", "checkerboard"])
def test_a_new_spline_of_images_is_the_identity(mask: str, conditioner: cf.Conditioner) -> None:
    coupling = cf.Coupling(mask, transform=cf.Spline(3), conditioner=conditioner)
    flow = cf.Flow([coupling], shape=(2, 4, 6), dtype="float64", seed=0)
    x = np.random.default_rng(0).normal(size=(8, 2, 4, 6))
    u, log_det = flow.inverse(x)
    np.testing.assert_allclose(u, x, atol=1e-13)
    np.testing.assert_allclose(log_det, 0.0, atol=1e-13)
