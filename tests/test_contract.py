"""The contract that every layer meets, over the table of instances.

These tests run at whatever instruction set CFLOWS_SIMD names; CI runs them at each.
"""

import math

import numpy as np
import pytest

import cflows as cf
from differences import gradient_error, jacobian
from instances import INSTANCES, build, sample_rows, spread_of

NAMES = list(INSTANCES)
SMOOTH = [name for name, instance in INSTANCES.items() if instance.smooth]
ROWS = (0, 1, 15, 16, 17, 1000)


def data_rows(flow, name, rows, seed=2):
    """Rows x that the flow maps from sample_rows, with their context."""
    u, context = sample_rows(name, rows, seed)
    return flow.forward(u, context)[0].astype(np.float64), context


def flat(x):
    """Rows of one dimension, also of images."""
    return x.reshape(len(x), math.prod(x.shape[1:]))


def norms(matrices):
    """The largest singular value of each."""
    return np.linalg.norm(matrices, 2, axis=(1, 2))


def is_gradient(ours, f, array, step):
    """To 1e-7 of its norm."""
    assert gradient_error(ours, f, array, step) <= 1e-7 * (np.linalg.norm(ours) + 1e-3)


def are_gradients(ours, f, flow, step):
    for parameter, array in flow.parameters.items():
        if parameter in flow.frozen:
            assert not ours[parameter].any()
        else:
            is_gradient(ours[parameter], f, array, step)


@pytest.mark.parametrize("name", NAMES)
def test_instance_is_far_from_the_identity(name):
    flow = build(name)
    u, context = sample_rows(name, 1000)
    x, log_det = flow.forward(u, context)
    if INSTANCES[name].volume:
        assert log_det.std() >= spread_of(flow)
    elif name != "empty":
        assert np.abs(flat(x) - flat(u)).max() > 1


@pytest.mark.parametrize("name", NAMES)
def test_jacobian_against_differences(name):
    """cf.jacobian, which is made of vjp rows, against differences, in both directions.

    Where differences of two widths disagree, a kink is near (softclip has one, too, in its second
    derivative): such rows say nothing, and are few. Of the others, none may be wrong.
    """
    flow = build(name)
    x, context = data_rows(flow, name, 100)
    u, _ = flow.inverse(x, context)
    for direction, at, f in (("inverse", x, flow.inverse), ("forward", u, flow.forward)):
        ours = cf.jacobian(flow, at, context, direction=direction)
        wide, truth = (jacobian(lambda y, f=f: f(y, context)[0], at, step) for step in (4e-4, 2e-4))
        far_from_kinks = norms(wide - truth) <= 1e-9 * norms(truth)
        assert far_from_kinks.mean() >= 0.95
        assert np.all((norms(ours - truth) <= 1e-8 * norms(truth))[far_from_kinks])


@pytest.mark.parametrize("name", NAMES)
def test_log_det_is_the_jacobians(name):
    flow, tolerance = build(name), max(1e-10, INSTANCES[name].tolerance)
    x, context = data_rows(flow, name, 33)
    u, log_det = flow.inverse(x, context)
    slogdet = np.linalg.slogdet(cf.jacobian(flow, x, context))[1]
    np.testing.assert_allclose(log_det, slogdet, rtol=0, atol=tolerance)
    log_det = flow.forward(u, context)[1]
    slogdet = np.linalg.slogdet(cf.jacobian(flow, u, context, direction="forward"))[1]
    np.testing.assert_allclose(log_det, slogdet, rtol=0, atol=tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_round_trip(name, dtype):
    flow = build(name, dtype)
    eps, tolerance = np.finfo(dtype).eps, INSTANCES[name].tolerance
    u, context = sample_rows(name, 300)
    x, _ = flow.forward(u, context)
    u, inverse = flow.inverse(x, context)
    again, forward = flow.forward(u, context)
    wide = flow.astype("float64")
    condition = norms(cf.jacobian(wide, x, context)) * norms(
        cf.jacobian(wide, u, context, direction="forward")
    )
    error = flat(np.abs(again - x)).max(axis=1)
    rounding = 50 * eps * condition * (1 + flat(np.abs(x)).max(axis=1))
    assert np.all(error <= rounding + condition * tolerance)
    if dtype == "float64":
        well_conditioned = condition <= 1e3
        assert well_conditioned.mean() > 0.25  # 0.29 for the chain, nearly all for the others
        assert error[well_conditioned].max() <= max(1e-12, tolerance)
        assert np.all(np.abs(inverse + forward) <= np.maximum(1e-12, eps * condition) + tolerance)


def objective(flow, direction, x, context, value, log_det):
    """A scalar whose gradient vjp is: fixed cotangents against the results, added up with care."""
    f = flow.inverse if direction == "inverse" else flow.forward
    y, ld = f(x, context)
    return np.sum(y * value, dtype=np.longdouble) + np.sum(ld * log_det, dtype=np.longdouble)


@pytest.mark.parametrize("direction", ["inverse", "forward"])
@pytest.mark.parametrize("name", SMOOTH)
def test_gradients_against_differences(name, direction):
    flow, step = build(name), INSTANCES[name].step
    x, context = data_rows(flow, name, 5)
    rng = np.random.default_rng(3)
    value = rng.normal(size=(5, *(flow.shape if direction == "forward" else flow.base_shape)))
    log_det = rng.normal(size=5)
    if direction == "forward":
        x = flow.inverse(x, context)[0]
    ours = flow.vjp(x, value, log_det, context, direction=direction)

    def f():
        return objective(flow, direction, x, context, value, log_det)

    is_gradient(ours.x, f, x, step)
    if context is not None:
        is_gradient(ours.context, f, context, step)
    assert sorted(ours.parameters) == sorted(flow.parameters)
    are_gradients(ours.parameters, f, flow, step)


@pytest.mark.parametrize("name", SMOOTH)
def test_loss_gradient_against_differences(name):
    flow, step = build(name), INSTANCES[name].step
    x, context = data_rows(flow, name, 5)
    weights = np.array([1.0, 0.0, 2.5, 0.3, 1.0])
    loss, gradients = flow.loss_and_grad(x, context, weights=weights)

    def f():
        log_prob = flow.log_prob(x, context).astype(np.longdouble)
        return -np.sum(weights * log_prob) / weights.sum()

    assert loss == pytest.approx(float(f()), rel=1e-13)
    are_gradients(gradients, f, flow, step)
    score = flow.grad_log_prob(x, context)
    weighted = flat(score) * (weights / weights.sum())[:, None]
    is_gradient(-weighted.reshape(x.shape), f, x, step)


def gradients(flow, x, context):
    """The loss, and its gradients for the parameters by name and for the rows."""
    loss, result = flow.loss_and_grad(x, context)
    result = {key: value.astype(np.float64) for key, value in result.items()}
    return loss, result | {"x": flow.grad_log_prob(x, context).astype(np.float64)}


def all_rounded(x):
    """Sixteen x in float64 that are half of a float32's last place from x, up or down."""
    rng = np.random.default_rng(3)
    return [x * (1 + rng.choice([-1.0, 1.0], x.shape) * 2.0**-24) for _ in range(16)]


@pytest.mark.parametrize("name", SMOOTH)
def test_float32_gradients_against_float64(name):
    """To 1e-4, or to what rounding x does to them where a flow is steep."""
    narrow = build(name, "float32")
    wide = narrow.astype("float64")
    x, context = data_rows(wide, name, 100)
    x = x.astype(np.float32)
    context = None if context is None else context.astype(np.float32)
    loss32, ours = gradients(narrow, x, context)
    loss64, truth = gradients(wide, x, context)
    assert loss32 == pytest.approx(loss64, rel=1e-4)
    for key, expected in truth.items():
        error = np.linalg.norm(ours[key] - expected)
        assert error <= 1e-4 * (np.linalg.norm(expected) + 1e-3) or error <= max(
            np.linalg.norm(gradients(wide, rounded, context)[1][key] - expected)
            for rounded in all_rounded(x)
        )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_rows_are_independent(name, dtype):
    """Any number of rows, any split of them, any layout: the same bits."""
    flow = build(name, dtype)
    x, context = data_rows(flow, name, 1000)
    x = x.astype(dtype)
    whole = flow.log_prob(x, context)
    u, log_det = flow.inverse(x, context)
    score = flow.grad_log_prob(x, context)
    for rows in ROWS:
        part = None if context is None else context[:rows]
        assert np.array_equal(flow.log_prob(x[:rows], part), whole[:rows])
        assert np.array_equal(flow.inverse(x[:rows], part)[0], u[:rows])
        assert np.array_equal(flow.inverse(x[:rows], part)[1], log_det[:rows])
        assert np.array_equal(flow.grad_log_prob(x[:rows], part), score[:rows])
    for first, end in ((3, 4), (500, 517), (7, 256), (100, 1000)):
        part = None if context is None else context[first:end]
        assert np.array_equal(flow.log_prob(x[first:end], part), whole[first:end])
    strided = np.full((*x.shape[:-1], 3 * x.shape[-1]), np.nan, dtype)[..., ::3]
    strided[...] = x
    last = np.moveaxis(np.moveaxis(x, 1, -1).copy(), -1, 1)  # of images, the channels
    for layout in (strided, np.asfortranarray(x), last):
        assert np.array_equal(flow.log_prob(layout, context), whole)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_threads_give_the_same_bits(name, dtype):
    flow = build(name, dtype)
    x, context = data_rows(flow, name, 1000)
    before = cf.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 5):
            cf.set_num_threads(threads)
            loss, gradients = flow.loss_and_grad(x, context)
            samples = (
                flow.sample(1000, seed=5) if context is None else flow.sample(9, context, seed=5)
            )
            results.append(
                [np.array(loss), flow.log_prob(x, context), samples, *gradients.values()]
            )
    finally:
        cf.set_num_threads(before)
    for result in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(results[0], result, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_a_bad_row_affects_itself_alone(name):
    flow = build(name)
    x, context = data_rows(flow, name, 40)
    whole, score = flow.log_prob(x, context), flow.grad_log_prob(x, context)
    bad = x.copy()
    for row, feature, number in ((3, 0, np.nan), (17, -1, np.inf), (39, 0, -np.inf)):
        bad[row].flat[feature] = number
    rest = np.setdiff1d(np.arange(40), [3, 17, 39])
    log_prob = flow.log_prob(bad, context)
    assert np.array_equal(log_prob[rest], whole[rest])
    assert np.array_equal(flow.grad_log_prob(bad, context)[rest], score[rest])
    assert np.isnan(log_prob[3])
    assert not np.any(log_prob[[17, 39]] > -1e300)  # -inf or NaN


@pytest.mark.parametrize("name", [n for n in NAMES if INSTANCES[n].features <= 2] + ["plane"])
def test_density_integrates_to_one(name):
    """The integral of exp(log_prob) by the trapezoidal rule, exact for such densities."""
    flow, context = plane_flow() if name == "plane" else (build(name), None)
    if name != "plane":
        size = INSTANCES[name].context_features
        context = np.full((1, size), 0.7) if size else None
    samples = flow.sample(100_000, context, seed=1).astype(np.float64)
    low, high = samples.min(axis=0), samples.max(axis=0)
    low, high = low - (high - low), high + (high - low)
    points = 400_001 if flow.features == 1 else 1501
    axes = [np.linspace(a, b, points) for a, b in zip(low, high, strict=True)]
    cell = np.prod([axis[1] - axis[0] for axis in axes])
    total = 0.0
    for first in axes[0] if flow.features == 2 else [None]:
        grid = axes[0][:, None]
        if first is not None:
            grid = np.column_stack([np.full(points, first), axes[1]])
        total += np.exp(flow.log_prob(grid, context)).sum()
    assert total * cell == pytest.approx(1, abs=1e-6)


def plane_flow():
    flow = cf.Flow(
        [
            cf.Coupling("half", hidden=(6,), activation="tanh", scale=cf.Scale("tanh", bound=0.8)),
            cf.Coupling(
                "half", swap=True, hidden=(6,), activation="tanh", scale=cf.Scale("tanh", bound=0.8)
            ),
            cf.Affine([1.0, -2.0], [2.0, 0.5]),
        ],
        features=2,
        dtype="float64",
        seed=1,
    )
    rng = np.random.default_rng(1)
    for parameter in flow.parameters.values():
        parameter[...] = rng.normal(size=parameter.shape) * 0.8
    return flow, None


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "name", ["real-nvp", "coupling-context", "base-given", "base-learned", "chain"]
)
def test_samples_follow_the_density(name, dtype):
    """Mapped back, samples are standard normal: every feature by its probability integral."""
    stats = pytest.importorskip("scipy.stats")
    flow = build(name, dtype)
    size = INSTANCES[name].context_features
    context = np.full((1, size), 0.3) if size else None
    x, log_prob = flow.sample_and_log_prob(20_000, context, seed=11)
    u, log_det = flow.inverse(x, context)
    loc, scale = 0.0, 1.0
    if name == "base-given":
        loc, scale = np.array([1.0, 0.0, -1.0, 2.0]), np.array([0.5, 1.0, 2.0, 3.0])
    if name == "base-learned":
        loc = flow.parameters["base.loc"].astype(float)
        scale = np.exp(flow.parameters["base.log_scale"].astype(float))
    z = (u.astype(np.float64) - loc) / scale
    for feature in z.T:
        assert stats.kstest(feature, "norm").pvalue > 1e-3
    correlation = np.corrcoef(z.T) - np.eye(z.shape[1])
    assert np.abs(correlation).max() < 4.5 / np.sqrt(len(z))
    truth = stats.norm.logpdf(z).sum(axis=1) - np.log(scale * np.ones(z.shape[1])).sum() + log_det
    tolerance = 1e-10 if dtype == "float64" else 2e-2
    np.testing.assert_allclose(log_prob, truth, rtol=tolerance, atol=tolerance)


def test_samples_join_up():
    flow = build("real-nvp", "float32")
    whole = flow.sample(300, seed=4)
    parts = [flow.sample(n, seed=4, start=start) for start, n in ((0, 7), (7, 100), (107, 193))]
    assert np.array_equal(np.concatenate(parts), whole)
    assert not np.array_equal(flow.sample(300, seed=5), whole)
