"""`MixtureLogistic` against SciPy's logistic distribution and mpmath, and where it could go wrong:
far out in the tails, in the gap between narrow components, and for unconstrained parameters of any
size.
"""

from __future__ import annotations

from dataclasses import dataclass

import mpmath
import numpy as np
import pytest
from scipy import optimize, special, stats

import cflows as cf
from differences import gradient

DTYPES = ("float32", "float64")

Array = np.ndarray


@dataclass(frozen=True)
class Mixture:
    """Mixtures of one feature each, by the definition; weights, means and scales are [K, features],
    log_factor and shift [features]."""

    weights: Array
    means: Array
    scales: Array
    log_factor: Array
    shift: Array

    def __call__(self, x: Array) -> tuple[Array, Array]:
        """u and log(du/dx) of x [rows, features]."""
        parts = stats.logistic(self.means, self.scales)
        log_below, log_above, log_density = (
            special.logsumexp(log(x[:, None]), axis=1, b=self.weights)
            for log in (parts.logcdf, parts.logsf, parts.logpdf)
        )
        y = log_below - log_above
        log_slope = log_density - log_below - log_above + self.log_factor
        return y * np.exp(self.log_factor) + self.shift, log_slope


def softclip(params: Array, bound: float) -> Array:
    return params / (1 + np.abs(params) / bound)


def mixture_of(params: Array, spread: float = 1.0, minimum_scale: float = 1e-2) -> Mixture:
    """What unconstrained parameters [3 K + 2, features] mean."""
    params = params.astype("float64")
    count = len(params) // 3
    logits, means, log_scales = params[: 3 * count].reshape(3, count, -1)
    start = np.linspace(-spread, spread, count) if count > 1 else np.zeros(1)
    return Mixture(
        special.softmax(logits, axis=0),
        means + start[:, None],
        np.exp(softclip(log_scales, -np.log(minimum_scale))),
        softclip(params[-2], np.log(1000)),
        params[-1],
    )


def flow_of(params: Array, dtype: str = "float64", **options: float) -> cf.Flow:
    """One mixture a column of params [3 K + 2, features]."""
    transform = cf.MixtureLogistic(len(params) // 3, **options)
    flow = cf.Flow([cf.Elementwise(transform)], features=params.shape[1], dtype=dtype, seed=0)
    flow.parameters["layers.0.conditioner.constant"][...] = params.ravel()
    return flow


def params_of(weights: Array, means: Array, scales: Array, minimum_scale: float = 1e-2) -> Array:
    """The unconstrained parameters of a mixture with spread 0, no factor and no shift, in one
    column."""
    b, log_scales = -np.log(minimum_scale), np.log(scales)
    unconstrained_scales = log_scales / (1 - np.abs(log_scales) / b)
    return np.concatenate([np.log(weights), means, unconstrained_scales, [0.0, 0.0]])[:, None]


def rounded(params: Array) -> Array:
    """To numbers that both dtypes have."""
    return params.astype("float32").astype("float64")


@pytest.mark.parametrize("minimum_scale", [1e-3, 1e-2, 0.5])
@pytest.mark.parametrize("count", [1, 2, 3, 8, 64])
def test_values_by_the_definition(count: int, minimum_scale: float) -> None:
    rng = np.random.default_rng(count)
    params = 1.5 * rng.normal(size=(3 * count + 2, 5))
    x = 3 * rng.normal(size=(500, 5))
    u, log_slope = mixture_of(params, 2.0, minimum_scale)(x)
    flow = flow_of(params, spread=2.0, minimum_scale=minimum_scale)
    found, log_det = flow.inverse(x)
    np.testing.assert_allclose(found, u, rtol=1e-13, atol=1e-12)
    np.testing.assert_allclose(log_det, log_slope.sum(axis=1), rtol=1e-13, atol=1e-12)


def test_values_in_high_precision() -> None:
    """The definition itself, without logarithms of sums, in 400 digits."""
    weights, means, scales = [0.2, 0.5, 0.3], [-1.0, 0.5, 6.0], [0.5, 0.02, 0.1]
    flow = flow_of(params_of(*map(np.array, (weights, means, scales))), spread=0.0)
    x = np.array([-50.0, -7.0, -1.0, 0.0, 0.49, 0.51, 2.5, 3.25, 5.9, 6.3, 50.0])[:, None]
    u, log_det = flow.inverse(x)
    with mpmath.workdps(400):
        for row, (point,) in enumerate(x):
            below = density = mpmath.mpf(0)
            for weight, mean, scale in zip(weights, means, scales, strict=True):
                e = mpmath.exp(-(mpmath.mpf(point) - mean) / scale)
                below += weight / (1 + e)
                density += weight * e / (1 + e) ** 2 / scale
            above = 1 - below
            assert float(u[row, 0]) == pytest.approx(
                float(mpmath.log(below / above)), rel=1e-13, abs=1e-12
            )
            assert float(log_det[row]) == pytest.approx(
                float(mpmath.log(density / below / above)), rel=1e-13, abs=1e-11
            )


@pytest.mark.parametrize("dtype", DTYPES)
def test_tails(dtype: str) -> None:
    """Out to 50, by which narrow components are 5000 scales away: values and log-determinants in
    units of rounding, of the numbers z = (x - mean) / scale that are rounded on the way."""
    rng = np.random.default_rng(3)
    eps = np.finfo(dtype).eps
    params = rounded(1.5 * rng.normal(size=(26, 20)))
    params[16:24] *= 3
    params[-2:] = 0  # y itself
    x = np.concatenate([np.linspace(-50, 50, 401), np.linspace(-3, 3, 401)])
    x = np.repeat(x[:, None], 20, axis=1).astype(dtype)
    mixture = mixture_of(params)
    flow = flow_of(params, dtype)
    y, _ = flow.inverse(x)
    truth, log_slope = mixture(x.astype("float64"))
    z = np.abs(x[:, None] - mixture.means) / mixture.scales
    assert np.all(np.abs(y - truth) <= 4 * eps * (z.max(axis=1) + 5))
    for column in range(20):
        _, log_det = flow_of(params[:, column : column + 1], dtype).inverse(
            x[:, column : column + 1]
        )
        error = np.abs(log_det - log_slope[:, column])
        assert np.all(error <= 10 * eps * (z[:, :, column].max(axis=1) + 5))


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_gap_between_narrow_components(dtype: str) -> None:
    """Where the density vanishes, its logarithm and the gradient do not."""
    weights, means, scales = np.array([0.3, 0.7]), np.array([-3.0, 4.0]), np.array([0.01, 0.02])
    params = rounded(params_of(weights, means, scales, 1e-3))
    flow, mixture = (
        flow_of(params, dtype, spread=0.0, minimum_scale=1e-3),
        mixture_of(params, 0.0, 1e-3),
    )
    x = np.linspace(-3.5, 4.5, 401).astype(dtype)[:, None]
    truth, log_slope = mixture(x.astype("float64"))
    y, log_det = flow.inverse(x)
    assert log_slope.min() < -200
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(y, truth, rtol=20 * eps, atol=20 * eps)
    np.testing.assert_allclose(log_det, log_slope[:, 0], rtol=100 * eps, atol=1000 * eps)
    narrow = flow.vjp(x, np.ones_like(x), np.ones(len(x)))
    wide = flow.astype("float64").vjp(x, np.ones_like(x), np.ones(len(x)))
    np.testing.assert_allclose(narrow.x, wide.x, rtol=1e4 * eps, atol=1e4 * eps)
    # The way back: x is what the rounding of y leaves open, but lies between the components.
    back, log_det = flow.forward(y)
    assert np.isfinite(log_det).all()
    again, _ = flow.inverse(back)
    np.testing.assert_allclose(again, y, rtol=20 * eps, atol=20 * eps)
    assert np.diff(back[:, 0]).min() >= 0
    pulled = flow.vjp(y, np.ones_like(y), np.ones(len(y)), direction="forward")
    assert np.isfinite(pulled.x).all()
    assert all(np.isfinite(array).all() for array in pulled.parameters.values())


@pytest.mark.parametrize("count", [1, 2, 8, 30])
@pytest.mark.parametrize("dtype", DTYPES)
def test_inversion(dtype: str, count: int) -> None:
    """As accurate as the rounding of y lets it be, also far out."""
    rng = np.random.default_rng(5)
    eps, features = np.finfo(dtype).eps, 20
    params = rounded(1.5 * rng.normal(size=(3 * count + 2, features)))
    params[2 * count : 3 * count] *= 2
    params[-2:] = 0
    flow, mixture = flow_of(params, dtype), mixture_of(params)
    u = np.concatenate([5 * rng.normal(size=(1000, features)), 300 * rng.normal(size=(100, 20))])
    u = u.astype(dtype)
    x, log_det = flow.forward(u)
    y, log_slope = mixture(x.astype("float64"))
    z = np.abs(x[:, None] - mixture.means) / mixture.scales
    x_rounding = eps * np.abs(x) * np.exp(log_slope)
    assert np.all(np.abs(y - u) <= 4 * eps * (z.max(axis=1) + 5) + x_rounding)
    error = np.abs(log_det + log_slope.sum(axis=1))
    assert np.all(error <= 10 * eps * (z.max(axis=1) + 5).sum(axis=1))
    back, log_det_back = flow.inverse(x)
    assert np.array_equal(log_det_back, -log_det)  # the same formula at the same point
    assert np.all(np.abs(back - u) <= 4 * eps * (z.max(axis=1) + 5) + x_rounding)


def harsh_flow(features: int, dtype: str) -> tuple[cf.Flow, Mixture]:
    """Unconstrained parameters of standard deviation 5: weights of 1e-9, narrow components far
    apart."""
    params = rounded(5 * np.random.default_rng(11).normal(size=(26, features)))
    params[-2:] = 0
    return flow_of(params, dtype), mixture_of(params)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_root_of_harsh_mixtures(dtype: str, rows: int = 500) -> None:
    """100,000 roots, none of which may be wrong."""
    features, eps = 200, np.finfo(dtype).eps
    flow, mixture = harsh_flow(features, dtype)
    u = (5 * np.random.default_rng(12).normal(size=(rows, features))).astype(dtype)
    x, _ = flow.forward(u)
    assert np.isfinite(x).all()
    y, log_slope = mixture(x.astype("float64"))
    z = np.abs(x[:, None] - mixture.means) / mixture.scales
    bound = 4 * eps * (z.max(axis=1) + 5) + eps * np.abs(x) * np.exp(log_slope)
    wrong = np.abs(y - u) > bound
    # Where F is steep, neighbouring numbers enclose u.
    below, above = (mixture(np.nextafter(x, to).astype("float64"))[0] for to in (-np.inf, np.inf))
    assert np.all((below <= u + bound)[wrong] & (u - bound <= above)[wrong])


@pytest.mark.parametrize("dtype", DTYPES)
def test_batches_and_threads_of_harsh_mixtures(dtype: str) -> None:
    flow, _ = harsh_flow(20, dtype)
    u = (5 * np.random.default_rng(13).normal(size=(5000, 20))).astype(dtype)
    u[17], u[400], u[401] = np.nan, np.inf, -np.inf
    x, log_det = flow.forward(u)
    assert np.isnan(x[17]).all() and np.isnan(log_det[17])
    finite = np.isfinite(u[:, 0])
    assert np.isfinite(x[finite]).all() and np.isfinite(log_det[finite]).all()
    threads = cf.get_num_threads()
    try:
        for count in (1, 2, 3):
            cf.set_num_threads(count)
            np.testing.assert_array_equal(flow.forward(u)[0], x)
    finally:
        cf.set_num_threads(threads)
    for size in (1, 7):
        parts = [flow.forward(u[i : i + size])[0] for i in range(0, 700, size)]
        np.testing.assert_array_equal(np.concatenate(parts), x[:700])


def test_inversion_by_brent() -> None:
    rng = np.random.default_rng(6)
    params = rng.normal(size=(26, 1))
    mixture = mixture_of(params)
    u = np.linspace(-20, 20, 101)[:, None]
    x, _ = flow_of(params).forward(u)
    for found, target in zip(x[:, 0], u[:, 0], strict=True):
        truth = optimize.brentq(
            lambda point, target=target: mixture(np.array([[point]]))[0].item() - target,
            -1e3,
            1e3,
            xtol=1e-14,
            rtol=1e-14,
        )
        assert found == pytest.approx(truth, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("count", [1, 3, 8])
@pytest.mark.parametrize("dtype", DTYPES)
def test_parameters_of_any_size(dtype: str, count: int) -> None:
    """For unconstrained parameters up to 1e4 of either sign everything is finite and in its order
    but for rounding, in both directions."""
    rng, features, eps = np.random.default_rng(2), 200, np.finfo(dtype).eps
    sizes = [-1e4, -1e2, -1.0, 0.0, 1.0, 1e2, 1e4]
    params = rng.choice(sizes, size=(3 * count + 2, features))
    flow = flow_of(params, dtype, minimum_scale=1e-3)
    far = [1e4, -1e4, 1e10, -1e10, 1e30, -1e30, np.finfo(dtype).tiny, -0.0]
    points = np.unique(np.concatenate([np.linspace(-50, 50, 301), far]).astype(dtype))
    rows = np.repeat(points[:, None], features, axis=1)
    for direction in ("forward", "inverse"):
        out, log_det = getattr(flow, direction)(rows)
        assert np.isfinite(out).all() and np.isfinite(log_det).all()
        assert np.all(np.diff(out, axis=0) >= -20 * eps * (1 + np.abs(out[1:])))
        pulled = flow.vjp(rows, np.ones_like(rows), np.ones(len(rows)), direction=direction)
        assert np.isfinite(pulled.x).all()
        assert all(np.isfinite(array).all() for array in pulled.parameters.values())


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_are_solved_each_for_itself(dtype: str) -> None:
    """Easy rows beside hard ones: the same bits wherever a row stands, and alone."""
    rng = np.random.default_rng(8)
    params = rng.choice([-10.0, -3.0, -1.0, 0.0, 1.0, 3.0], size=(26, 7))
    flow = flow_of(params, dtype)
    u = rng.normal(size=(200, 7)) * 10.0 ** rng.integers(-3, 4, size=(200, 1))
    x, log_det = flow.forward(u)
    order = rng.permutation(200)
    shuffled, log_det_shuffled = flow.forward(u[order])
    assert np.array_equal(shuffled, x[order])
    assert np.array_equal(log_det_shuffled, log_det[order])
    for row in range(0, 200, 17):
        assert np.array_equal(flow.forward(u[row : row + 1])[0], x[row : row + 1])


@pytest.mark.parametrize("direction", ["forward", "inverse"])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_gradients_in_the_middle_and_far_out(count: int, direction: str) -> None:
    rng = np.random.default_rng(4)
    flow = flow_of(rng.normal(size=(3 * count + 2, 2)))
    at = np.concatenate([2 * rng.normal(size=(8, 2)), [[-50.0, 50.0], [30.0, -40.0]]])
    value, log_det = rng.normal(size=at.shape), rng.normal(size=len(at))
    ours = flow.vjp(at, value, log_det, direction=direction)

    def f() -> np.longdouble:
        out, ld = getattr(flow, direction)(at)
        return np.sum(out * value, dtype=np.longdouble) + np.sum(ld * log_det, dtype=np.longdouble)

    (name,) = flow.parameters
    for found, array in ((ours.x, at), (ours.parameters[name], flow.parameters[name])):
        truth = gradient(f, array, 1e-3)
        assert np.linalg.norm(found - truth) <= 1e-7 * np.linalg.norm(truth)


def test_gradients_of_the_inverse_by_the_implicit_function_theorem() -> None:
    """u(x, p) = u gives dx/dp = -(du/dp) / (du/dx) and dx/du = 1 / (du/dx)."""
    rng = np.random.default_rng(10)
    flow = flow_of(rng.normal(size=(26, 1)))
    u = 4 * rng.normal(size=(100, 1))
    x, _ = flow.forward(u)
    for row in range(100):
        one = np.ones((1, 1))
        forward = flow.vjp(u[row : row + 1], one, np.zeros(1), direction="forward")
        inverse = flow.vjp(x[row : row + 1], one, np.zeros(1))
        slope = inverse.x.item()
        assert forward.x.item() == pytest.approx(1 / slope, rel=1e-12)
        ((_, ours),), ((_, other),) = forward.parameters.items(), inverse.parameters.items()
        np.testing.assert_allclose(ours, -other / slope, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_float32_gradients_follow_float64(direction: str) -> None:
    rng = np.random.default_rng(8)
    params = rounded(1.5 * rng.normal(size=(26, 10)))
    at = (4 * rng.normal(size=(200, 10))).astype("float32")
    value, log_det = rng.normal(size=at.shape), rng.normal(size=len(at))
    narrow, wide = (
        flow_of(params, dtype).vjp(at, value, log_det, direction=direction) for dtype in DTYPES
    )
    (name,) = wide.parameters
    pairs = ((narrow.x, wide.x), (narrow.parameters[name], wide.parameters[name]))
    for found, truth in pairs:
        assert np.linalg.norm(found - truth) <= 1e-4 * np.linalg.norm(truth)


@pytest.mark.parametrize("count", [1, 2, 8, 64])
def test_zeros_are_near_the_identity(count: int) -> None:
    """Odd, with slope 1 far out and little less between the means."""
    flow = flow_of(np.zeros((3 * count + 2, 1)))
    x = np.linspace(-30, 30, 601)[:, None]
    u, log_det = flow.inverse(x)
    np.testing.assert_allclose(u, -u[::-1], rtol=0, atol=1e-12)
    assert np.abs(u - x).max() < 0.5
    assert log_det.min() > np.log(0.75) and log_det.max() < 1e-12
    assert np.abs(log_det[[0, -1]]).max() < 1e-10


def test_a_new_coupling_starts_there() -> None:
    flow = cf.Flow([cf.Coupling(transform=cf.MixtureLogistic())], features=4, seed=0)
    u = np.random.default_rng(0).normal(size=(100, 4))
    assert np.abs(flow.forward(u)[0] - u).max() < 0.3


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_component_is_affine(dtype: str) -> None:
    params = np.array([[3.0], [0.7], [-0.4], [0.9], [-1.1]])
    mixture = mixture_of(params)
    u = np.linspace(-100, 100, 333).astype(dtype)[:, None]
    y = (u - mixture.shift) * np.exp(-mixture.log_factor)
    x, log_det = flow_of(params, dtype).forward(u)
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(x, y * mixture.scales + mixture.means, rtol=10 * eps, atol=20 * eps)
    slope = np.log(mixture.scales[0]) - mixture.log_factor
    np.testing.assert_allclose(log_det, np.full(333, slope), rtol=0, atol=50 * eps * 200)


def test_components_without_weight_do_not_count() -> None:
    rng = np.random.default_rng(1)
    params = rng.normal(size=(11, 3))
    more = np.insert(params, [3, 6, 9], 0.0, axis=0)
    more[3] = -1e4
    x = 3 * rng.normal(size=(100, 3))
    for direction in ("forward", "inverse"):
        ours, others = (getattr(flow_of(r, spread=0.0), direction)(x) for r in (params, more))
        np.testing.assert_allclose(ours[0], others[0], rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(ours[1], others[1], rtol=1e-12, atol=1e-12)


def test_a_nan_stays_in_its_row() -> None:
    flow = flow_of(np.random.default_rng(5).normal(size=(11, 2)))
    u = np.array([[0.5, 0.5], [np.nan, 0.5], [0.5, np.inf], [1.0, 1.0]])
    for apply in (flow.forward, flow.inverse):
        x, log_det = apply(u)
        assert np.isnan(x[1, 0]) and np.isnan(log_det[1])
        assert np.isfinite(x[1, 1]) and not np.isfinite(x[2, 1])
        assert np.isfinite(x[[0, 3]]).all() and np.isfinite(log_det[[0, 3]]).all()
        assert np.array_equal(apply(u[[0, 3]])[0], x[[0, 3]])


def test_it_learns_modes_that_one_affine_layer_cannot() -> None:
    """Three modes, fitted by one layer without a network: the density is a mixture's."""
    rng = np.random.default_rng(0)
    x = (rng.choice([-2.0, 0.0, 1.5], size=4000) + 0.2 * rng.normal(size=4000))[:, None]
    flow = cf.Flow([cf.Elementwise(cf.MixtureLogistic(6))], features=1, seed=0)
    flow.fit(x, epochs=60, optimizer=cf.Adam(1e-2), seed=0, progress=False)
    truth = np.log(sum(stats.norm.pdf(x[:, 0], mean, 0.2) / 3 for mean in (-2.0, 0.0, 1.5)))
    assert truth.mean() - flow.log_prob(x).mean() < 0.03


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"components": 0}, "components must be from 1 to 64, got 0"),
        ({"components": 65}, "components must be from 1 to 64, got 65"),
        ({"spread": -1.0}, "spread must be from 0 to 1e6, got -1"),
        ({"spread": np.nan}, "spread must be"),
        ({"minimum_scale": 0.0}, "minimum_scale must be at least 1e-6 and below 1, got 0"),
        ({"minimum_scale": 1.0}, "minimum_scale must be"),
        ({"scale": "no such form"}, "scale"),
    ],
)
def test_options(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cf.MixtureLogistic(**options)
