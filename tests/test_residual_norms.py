"""Residual layers in the norms of sums and of the maximum, and of more features than an exact
determinant has, against formulas by hand."""

import numpy as np
import pytest

import cflows as cf
from cflows.check import jacobian
from differences import gradient

ORDER = {"one": 1, "infinity": np.inf}


def new_flow(features=4, dtype="float64", context_features=0, **options):
    options = {"hidden": (6, 5), "coefficient": 0.9, **options}
    size = {"shape": features} if isinstance(features, tuple) else {"features": features}
    return cf.Flow(
        [cf.Residual(**options)], **size, context_features=context_features, dtype=dtype, seed=1
    )


def randomize(flow, spread=1.5, seed=2):
    rng = np.random.default_rng(seed)
    for name, array in flow.parameters.items():
        if name not in flow.frozen:
            array[...] = rng.normal(size=array.shape) * spread


def points(flow, rows=6, seed=3, spread=1.5):
    return np.random.default_rng(seed).normal(size=(rows, *flow.shape)) * spread


def normalized(weight, norm, c):
    """Rows, or columns, divided by max(1, s / c), one by one; of kernels all that is of one
    output, or of one channel."""
    axes = (0, *range(2, weight.ndim)) if norm == "one" else tuple(range(1, weight.ndim))
    sums = np.abs(weight).sum(axis=axes, keepdims=True)
    return weight / np.maximum(1, sums / c)


@pytest.mark.parametrize("norm", ORDER)
@pytest.mark.parametrize("factor", [0.1, 1.0, 1e8])
def test_dense_weights(norm, factor):
    flow = new_flow(5, hidden=(), activation="identity", norm=norm)
    randomize(flow, factor)
    weight = flow.parameters["layers.0.linear0.weight"]
    weight[0] *= 1e-3  # a row below the coefficient
    weight[:, 1] *= 1e-3
    unit = np.eye(5)
    found = (flow.inverse(unit)[0] - flow.inverse(np.zeros((1, 5)))[0] - unit).T
    bias = np.abs(flow.parameters["layers.0.linear0.bias"]).max()
    np.testing.assert_allclose(found, normalized(weight, norm, 0.9), atol=1e-15 * (10 + bias))
    assert np.linalg.norm(found, ORDER[norm]) <= 0.9 + 1e-15 * (10 + bias)
    _, log_det = flow.inverse(unit)
    truth = np.linalg.slogdet(unit + normalized(weight, norm, 0.9))[1]
    np.testing.assert_allclose(log_det, truth, rtol=0, atol=1e-13)


@pytest.mark.parametrize("norm", ORDER)
def test_networks_of_several_layers(norm):
    flow = new_flow(context_features=2, norm=norm)
    randomize(flow)
    x, context = points(flow), np.random.default_rng(4).normal(size=(6, 2))
    h = x
    for i in range(3):
        of = {name: flow.parameters[f"layers.0.linear{i}.{name}"] for name in ("weight", "bias")}
        steepness = np.logaddexp(0, flow.parameters[f"layers.0.activation{i}.beta"])
        h = h / (1 + np.exp(-h * steepness)) / 1.1
        h = h @ normalized(of["weight"], norm, 0.9).T + of["bias"]
        if i == 0:
            h = h + context @ flow.parameters["layers.0.context.weight"].T
    u, _ = flow.inverse(x, context)
    np.testing.assert_allclose(u, x + h, rtol=0, atol=1e-13)
    report = cf.audit(flow, x, context)
    assert report.round_trip < 1e-13
    assert report.log_det < 1e-13
    assert not any(name.endswith("left") for name in flow.parameters)


@pytest.mark.parametrize("norm", ORDER)
def test_convolutions(norm):
    """Of images as large as a kernel the norm is that of the dense matrix; others have less."""
    flow = new_flow((2, 5, 5), hidden=(), kernels=3, activation="identity", norm=norm)
    randomize(flow)
    x = points(flow)
    unit = np.eye(50).reshape(50, 2, 5, 5)
    zero = flow.inverse(np.zeros((1, 2, 5, 5)))[0]
    found = (flow.inverse(unit)[0] - zero - unit).reshape(50, 50).T
    assert np.linalg.norm(found, ORDER[norm]) == pytest.approx(0.9, rel=1e-12)
    weight = normalized(flow.parameters["layers.0.conv0.weight"], norm, 0.9)
    middle = found.reshape(2, 5, 5, 2, 5, 5)[:, 2, 2, :, 1:4, 1:4]
    np.testing.assert_allclose(middle, weight, rtol=0, atol=1e-14)
    np.testing.assert_allclose(flow.forward(flow.inverse(x)[0])[0], x, rtol=0, atol=1e-13)


@pytest.mark.parametrize("norm", ORDER)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("factor", [1e-3, 1.0, 1e6])
def test_round_trip_whatever_the_weights(norm, dtype, factor):
    flow = new_flow(30, dtype, hidden=(40, 40), norm=norm, coefficient=0.99)
    randomize(flow, factor)
    x = points(flow, 100).astype(dtype)
    u, log_det = flow.inverse(x)
    size = np.abs(u).max() + np.abs(x).max()
    assert np.abs(flow.forward(u)[0] - x).max() <= 200 * np.finfo(dtype).eps * size
    assert np.isfinite(log_det).all()


@pytest.mark.parametrize("norm", ORDER)
@pytest.mark.parametrize("sign", [-1, 1])
def test_the_slowest_contraction(norm, sign):
    """All rows and columns sum to c: a Jacobian with the eigenvalue c, or -c."""
    n, c = 12, 0.999
    flow = new_flow(n, hidden=(), activation="identity", norm=norm, coefficient=c)
    rng = np.random.default_rng(0)
    weight = np.zeros((n, n))
    for share in (0.5, 0.3, 0.2):
        weight[np.arange(n), rng.permutation(n)] += share
    flow.parameters["layers.0.linear0.weight"][...] = 5 * sign * weight
    u = points(flow, 50)
    truth = np.linalg.solve(np.eye(n) + sign * c * weight, u.T).T
    error = np.abs(flow.forward(u)[0] - truth)
    assert error.max() <= 64 * np.finfo(float).eps / (1 - c) * np.abs(truth).max()


@pytest.mark.parametrize("norm", ORDER)
def test_gradients(norm):
    flow = new_flow(3, context_features=1, norm=norm)
    randomize(flow)
    flow.parameters["layers.0.linear1.weight"][...] *= 0.1
    x, value = points(flow), points(flow, seed=6)
    rng = np.random.default_rng(4)
    context, log_det = rng.normal(size=(6, 1)), rng.normal(size=6)
    ours = flow.vjp(x, value, log_det, context, direction="inverse")

    def f():
        y, ld = flow.inverse(x, context)
        return np.sum(y * value) + np.sum(ld * log_det)

    for name, array in flow.parameters.items():
        truth = gradient(f, array, 1e-4)
        error = np.linalg.norm(ours.parameters[name] - truth)
        assert error <= 1e-8 * (1 + np.linalg.norm(truth)), name


# ---- many features ----


def many(norm="infinity", features=1030, **options):
    return new_flow(features, **{"hidden": (3,), "norm": norm, **options})


@pytest.mark.parametrize("norm", ["spectral", "one", "infinity"])
@pytest.mark.parametrize("weight", [0.5, -7.0])
def test_of_a_diagonal_the_estimate_is_as_exact_as_the_series(norm, weight):
    """The square of a sign is 1: the trace of a diagonal matrix has no error."""
    options = {"hidden": (), "activation": "sine", "probes": 1}
    flow = many(norm, (1, 33, 32), kernels=1, **options)
    flow.parameters["layers.0.conv0.weight"][...] = weight
    scale = np.clip(weight, -0.9, 0.9)
    x = points(flow, 5)
    slope = scale * np.cos(x)
    truth = np.log1p(slope).sum(axis=(1, 2, 3))
    u, log_det = flow.inverse(x)
    np.testing.assert_allclose(log_det, truth, rtol=0, atol=1e-3)
    again, forward = flow.forward(u)
    np.testing.assert_allclose(again, x, rtol=0, atol=1e-12)
    np.testing.assert_allclose(forward, -truth, rtol=0, atol=1e-3)
    score = -u * (1 + slope) - scale * np.sin(x) / (1 + slope)
    np.testing.assert_allclose(flow.grad_log_prob(x), score, rtol=0, atol=1e-3)


@pytest.mark.parametrize("norm", ["spectral", "one"])
def test_the_error_of_an_estimate(norm):
    """Standard deviation: sqrt(2 / probes) times the norm of what is beside the diagonal of the
    symmetric part of log(I + J); of 8 probes it is smaller than of 1."""
    shape = (2, 4, 4)
    errors = {}
    for probes in (1, 8):
        flow = many(norm, shape, hidden=(2100,), kernels=1, probes=probes)
        randomize(flow, 2.0)
        x = points(flow, 6)
        _, log_det = flow.inverse(x)
        matrices = jacobian(flow, x, None)
        truth = np.linalg.slogdet(matrices)[1]
        deviation = np.empty(6)
        for i, matrix in enumerate(matrices):
            values, vectors = np.linalg.eig(matrix)
            log = ((vectors * np.log(values.astype(complex))) @ np.linalg.inv(vectors)).real
            beside = (log + log.T) / 2
            np.fill_diagonal(beside, 0)
            deviation[i] = np.sqrt(2 / probes) * np.linalg.norm(beside)
        errors[probes] = np.abs(log_det - truth)
        assert np.all(errors[probes] < 5 * deviation + 1e-3)
    assert cf.audit(flow, x).log_det == pytest.approx(errors[8].max(), rel=1e-6)
    assert errors[1].mean() > errors[8].mean()


def test_an_estimate_is_of_its_row_alone():
    flow = many(hidden=(4,))
    randomize(flow)
    x = points(flow, 40)
    whole = flow.log_prob(x)
    np.testing.assert_array_equal(flow.log_prob(x), whole)
    np.testing.assert_array_equal(flow.log_prob(x[7:8]), whole[7:8])
    broken = x.copy()
    broken[3, 5] = np.nan
    found = flow.log_prob(broken)
    assert np.isnan(found[3])
    np.testing.assert_array_equal(np.delete(found, 3), np.delete(whole, 3))


@pytest.mark.parametrize("norm", ["spectral", "infinity"])
def test_gradients_of_an_estimate(norm):
    """Of the number that is estimated, along random directions."""
    flow = many(norm, hidden=(3,), probes=2)
    randomize(flow)
    x = points(flow, 3)
    rng = np.random.default_rng(7)
    _, gradients = flow.loss_and_grad(x)
    score = flow.grad_log_prob(x)
    direction, step = rng.normal(size=x.shape), 1e-3
    change = (flow.log_prob(x + step * direction) - flow.log_prob(x - step * direction)) / 2 / step
    np.testing.assert_allclose((score * direction).sum(axis=1), change, rtol=1e-4, atol=1e-2)
    for name, array in flow.parameters.items():
        if name in flow.frozen:
            continue
        direction, kept = rng.normal(size=array.shape), array.copy()
        losses = []
        for sign in (1, -1):
            array[...] = kept + sign * step * direction
            losses.append(-flow.log_prob(x).mean())
        array[...] = kept
        truth = (losses[0] - losses[1]) / 2 / step
        assert (gradients[name] * direction).sum() == pytest.approx(truth, rel=1e-3, abs=1e-2)


def test_many_features_are_fitted():
    """A factor that all features share, along which g contracts."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 1)) + 0.5 * rng.normal(size=(300, 1100))
    flow = many("spectral", 1100, hidden=(4,), dtype="float32", probes=2, activation="elu")
    before = flow.log_prob(x).mean()
    options = {"epochs": 10, "optimizer": cf.Adam(1e-2), "seed": 0, "progress": False}
    with pytest.warns(cf.DataWarning, match="too few"):
        flow.fit(x, validation=None, **options)
    assert flow.log_prob(x).mean() > before + 200
