"""Angles: shifts round the circle, splines on it, networks that read cosine and sine."""

import numpy as np
import pytest

import cflows as cf

PI = np.pi
CIRCULAR = cf.Spline(5, bound=PI, tails="circular")


def randomised(layers, features, dtype="float64", seed=0, size=1.0, **options):
    flow = cf.Flow(layers, features=features, dtype=dtype, seed=seed, **options)
    rng = np.random.default_rng(seed)
    for parameter in flow.parameters.values():
        parameter[...] = size * rng.normal(size=parameter.shape)
    return flow


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("low", "high", "shift"), [(-PI, PI, 0.4), (0.0, 24.0, -7.0), (2, 5, 9)])
def test_shift_is_addition_modulo_the_period(dtype, low, high, shift):
    flow = cf.Flow([cf.CircularShift(shift, low, high)], features=1, dtype=dtype)
    x = np.random.default_rng(0).uniform(-100, 100, size=(1000, 1)).astype(dtype)
    for direction, sign in ((flow.forward, 1), (flow.inverse, -1)):
        y, log_det = direction(x)
        truth = low + np.mod(x.astype(float) + sign * shift - low, high - low)
        apart = np.abs(y - truth)
        apart = np.minimum(apart, np.abs(apart - (high - low)))  # the two ends are one point
        assert apart.max() <= 8 * np.finfo(dtype).eps * 100
        assert y.min() >= np.dtype(dtype).type(low)
        assert y.max() <= np.dtype(dtype).type(high)
        assert not log_det.any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_lies_within_stays(dtype):
    flow = cf.Flow([cf.CircularShift()], features=1, dtype=dtype)
    end = np.dtype(dtype).type(PI)
    x = np.array([[-end], [end], [0.0], [1e-30], [np.nextafter(end, 0)]], dtype)
    assert np.array_equal(flow.inverse(x)[0], x)
    assert np.isnan(flow.inverse([[np.inf], [np.nan], [-np.inf]])[0]).all()


def test_a_learned_shift_has_the_gradient_of_a_sum():
    flow = cf.Flow([cf.CircularShift(0.5, learned=True)], features=2, dtype="float64")
    cotangents = np.random.default_rng(0).normal(size=(20, 2))
    x = np.random.default_rng(1).normal(size=(20, 2)) * 3
    found = flow.vjp(x, cotangents, direction="forward")
    np.testing.assert_allclose(found.parameters["layers.0.shift"], cotangents.sum(axis=0))
    np.testing.assert_array_equal(found.x, cotangents)


LAYERS = {
    "coupling": lambda: cf.Coupling(transform=CIRCULAR, hidden=(8,)),
    "autoregressive": lambda: cf.Autoregressive(transform=CIRCULAR, hidden=(12,)),
    "iaf": lambda: cf.Autoregressive(transform=CIRCULAR, hidden=(12,), parallel="forward"),
    "residual": lambda: cf.Autoregressive(
        "reverse", transform=CIRCULAR, conditioner=cf.ResidualNet(9)
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_density_on_the_torus(name):
    """It has the torus's period, is continuous over the cut, and integrates to one. (The score of
    a spline may jump at its knots, of which the cut is one.)"""
    layers = [LAYERS[name](), cf.CircularShift(1.0), LAYERS[name](), cf.CircularShift()]
    flow = randomised(layers, 2, size=0.3, base=cf.Uniform(-PI, PI))
    axis = np.linspace(-PI, PI, 1000, endpoint=False)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    log_prob = flow.log_prob(grid)
    assert log_prob.std() > 0.2
    # The trapezoidal rule; slopes bend at knots, so it is not exact.
    assert np.exp(log_prob).mean() * (2 * PI) ** 2 == pytest.approx(1, abs=1e-4)
    some = grid[::997]
    for turn in ([2 * PI, 0], [0, -2 * PI], [4 * PI, 6 * PI]):
        np.testing.assert_allclose(flow.log_prob(some + turn), flow.log_prob(some), atol=1e-11)
    for column in (0, 1):
        ends = np.array([some, some])
        ends[0, :, column], ends[1, :, column] = -PI + 1e-9, PI - 1e-9
        np.testing.assert_allclose(*map(flow.log_prob, ends), atol=1e-6)


def test_networks_read_cosine_and_sine_of_the_features_that_are_angles():
    transform = cf.MixedTransform(
        [cf.Spline(3), cf.Spline(3, bound=2.0, tails="circular")], [0, 1, 1]
    )
    flow = randomised([cf.Coupling([0, 1], transform=transform, hidden=(4,))], 3)
    weights = {name.split(".", 3)[-1]: p for name, p in flow.parameters.items()}
    assert weights["linear0.weight"].shape == (4, 3)
    u = np.array([[0.3, -1.2, 0.7]])
    angle = 2 * PI * u[0, 1] / 4.0  # the period is 4
    inputs = np.array([u[0, 0], np.cos(angle), np.sin(angle)])
    h = np.maximum(weights["linear0.weight"] @ inputs + weights["linear0.bias"], 0)
    params = weights["linear1.weight"] @ h + weights["linear1.bias"]
    alone = cf.Flow(
        [cf.Elementwise(cf.Spline(3, bound=2.0, tails="circular"))], features=1, dtype="float64"
    )
    alone.parameters["layers.0.conditioner.constant"][...] = params[:9]
    x, log_det = flow.forward(u)
    truth, truth_log_det = alone.forward(u[:, 2:])
    np.testing.assert_allclose(x[:, 2:], truth, rtol=1e-13)
    np.testing.assert_allclose(log_det, truth_log_det, rtol=1e-12)


def test_mixed_transforms_are_what_each_is_alone():
    """Elementwise, with unconstrained parameters of one feature after the other."""
    parts = [cf.Spline(4), CIRCULAR, cf.AffineTransform(), cf.AdditiveTransform()]
    which = [2, 0, 1, 3, 0]
    flow = randomised([cf.Elementwise(cf.MixedTransform(parts, which))], 5)
    params = flow.parameters["layers.0.conditioner.constant"].reshape(-1, 5)
    assert params.shape[0] == 15  # of the circular spline
    u = np.random.default_rng(3).uniform(-3, 3, size=(50, 5))
    x, log_det = flow.forward(u)
    total = np.zeros(50)
    for feature, number in enumerate(which):
        alone = cf.Flow([cf.Elementwise(parts[number])], features=1, dtype="float64")
        constant = alone.parameters["layers.0.conditioner.constant"]
        constant[...] = params[: len(constant), feature]
        own, own_log_det = alone.forward(u[:, [feature]])
        np.testing.assert_array_equal(x[:, [feature]], own)
        total += own_log_det
    np.testing.assert_allclose(log_det, total, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: cf.CircularShift(low=1.0, high=1.0), "low must be below high"),
        (lambda: cf.CircularShift(np.inf), "shift must be finite"),
        (lambda: cf.ShiftedTransform(cf.Spline(), low=2.0, high=1.0), "low must be below high"),
        (lambda: cf.ShiftedTransform(cf.Spline(), shift=np.nan), "shift must be finite"),
        (lambda: cf.MixedTransform([], [0]), "from 1 to 64"),
        (lambda: cf.MixedTransform([cf.Spline()], [1]), "got 1 at 0"),
        (
            lambda: cf.MixedTransform([cf.MixedTransform([cf.Spline()], [0])], [0]),
            "must not be mixed",
        ),
        (
            lambda: cf.MixedTransform(
                [cf.ShiftedTransform(cf.MixedTransform([cf.Spline()], [0]))], [0] * 3000
            ),
            "must not be mixed",
        ),
        (
            lambda: cf.Flow([cf.Elementwise(cf.MixedTransform([cf.Spline()], [0, 0]))], features=3),
            "2 numbers, the layer has 3 features",
        ),
    ],
)
def test_bad_options(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("period", "low"), [(2 * PI, -PI), (24.0, 0.0), (360.0, -180.0), (0.3, 1e3)]
)
def test_a_circle_has_no_outside(dtype, period, low):
    """Wherever its cut lies, at the cut as well as at any other number, in either type."""
    flow = cf.nsf(
        2, layers=3, hidden=(16,), columns=[cf.circular(period, low=low)] * 2, dtype=dtype
    )
    rng = np.random.default_rng(0)
    for parameter in flow.parameters.values():
        parameter[...] += rng.normal(size=parameter.shape)
    ends = low + period * np.array([0, 1, -1, 2, 1e-9, 1 - 1e-9, -1e-9, 1 + 1e-9])
    edge = np.stack(np.meshgrid(ends, ends), axis=-1).reshape(-1, 2)
    x = np.concatenate([edge, low + period * rng.uniform(-2, 3, size=(20_000, 2))])
    assert np.isfinite(flow.log_prob(x)).all()
    assert np.isfinite(flow.log_prob(flow.sample(20_000, seed=0))).all()
    flow.fit(x, epochs=1, progress=False)


# ---- angles drawn together ----


def test_the_first_fit_sets_direction_and_arc():
    rng = np.random.default_rng(0)
    weights = rng.uniform(size=4000)
    angles = np.column_stack([3.1 + 0.02 * rng.normal(size=4000), rng.uniform(-PI, PI, 4000)])
    angles[::30, 0] += 1.0  # a few are elsewhere
    flow = cf.Flow([cf.Coupling(hidden=(4,)), cf.Mobius(), cf.CircularShift()], 2, seed=0)
    options = {"epochs": 1, "validation": None, "seed": 0, "progress": False}
    flow.fit(angles, weights=weights, **options)
    shift, scale = flow.buffers["layers.1.shift_scale"].reshape(2, 2)
    direction = np.angle(weights @ np.exp(1j * angles))
    np.testing.assert_allclose(shift, direction, rtol=1e-12)
    apart = np.abs(np.angle(np.exp(1j * (angles[:, 0] - direction[0]))))
    order = np.argsort(apart)
    share = np.cumsum(weights[order]) / weights.sum()
    arc = apart[order][np.searchsorted(share, 0.95)]
    assert scale[0] == pytest.approx(np.tan(arc / 2) / np.tan(7 * PI / 16), rel=1e-9)
    assert scale[1] == 1.0
    before = flow.buffers["layers.1.shift_scale"].copy()
    flow.fit(angles + 1.0, **options)
    np.testing.assert_array_equal(flow.buffers["layers.1.shift_scale"], before)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("deviation", [60.0, 5.0, 1e-2, 1e-6])
@pytest.mark.parametrize("centre", [180.0, 359.9])
def test_angles_on_an_arc_of_any_length(centre, deviation, dtype):
    """Truth: the entropy of a normal distribution, which is all but within one turn."""
    x = centre + deviation * np.random.default_rng(0).normal(size=(3000, 1))
    flow = cf.nsf(1, 3, hidden=32, columns=[cf.circular(360)], dtype=dtype, seed=0)
    flow.fit(x[:2000], epochs=60, seed=0, progress=False)
    truth = (
        -0.5 * np.log(2 * PI)
        - np.log(deviation)
        - 0.5 * np.mean(((x[2000:] - centre) / deviation) ** 2)
    )
    found = flow.log_prob(x[2000:]).mean(dtype=np.float64)
    assert found == pytest.approx(truth, abs=0.1)
    moved = flow.log_prob(x[2000:] - 360.0)
    np.testing.assert_allclose(moved, flow.log_prob(x[2000:]), atol=1e-3)
    samples, log_prob = flow.sample_and_log_prob(2000, seed=0)
    np.testing.assert_allclose(flow.log_prob(samples), log_prob, atol=2e-3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: cf.Mobius(scale=0.0), "scale must be positive, got 0 at index 0"),
        (lambda: cf.Mobius(scale=[1.0, -1.0]), "scale must be positive, got -1 at index 1"),
        (lambda: cf.Flow([cf.Mobius(shift=[1.0, 2.0])], 3), "Mobius: shift has 2 numbers, the"),
    ],
)
def test_mobius_refuses(make, message):
    with pytest.raises(ValueError, match=message):
        make()
