"""Dequantization: integers to real numbers and back, and what it says of their probabilities."""

import itertools
import math

import numpy as np
import pytest
from scipy import integrate, special, stats

import cflows as cf

NET = cf.MLP((6,), activation="tanh")


def draws(flow, x, count, seed=0):
    """u and log_det of `count` draws of one x."""
    return flow.inverse(np.repeat(np.asarray(x)[None], count, axis=0), seed=seed)


def test_uniform_noise():
    flow = cf.Flow([cf.Dequantize(5)], features=3, dtype="float64")
    u, log_det = draws(flow, [0, 2, 4], 4000)
    noise = 5 * u - [0, 2, 4]
    assert np.allclose(log_det, -3 * math.log(5), rtol=1e-14)
    assert noise.min() > 0 and noise.max() < 1
    for column in noise.T:
        assert stats.kstest(column, "uniform").pvalue > 1e-3
    assert np.abs(np.corrcoef(noise.T) - np.eye(3)).max() < 0.06


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("levels", [2, 3, 255, 256, 1000, 65536, None])
def test_round_trip_is_exact(levels, dtype):
    flow = cf.Flow([cf.Dequantize(levels)], features=1000, dtype=dtype)
    rng = np.random.default_rng(0)
    low, high = (0, levels) if levels else (-100000, 100000)
    x = rng.integers(low, high, size=(100, 1000))
    for seed in range(5):
        u, _ = flow.inverse(x, seed=seed)
        assert np.array_equal(flow.forward(u)[0], x)
        if levels:
            assert u.min() > 0 and u.max() < 1
        else:
            assert np.all((u > x) & (u < x + 1))


def test_forward_gives_levels():
    flow = cf.Flow([cf.Dequantize(4)], features=6, dtype="float64")
    x, _ = flow.forward([[-3.0, -0.0, 0.2499, 0.25, 0.9999, 7.0]])
    assert x.tolist() == [[0, 0, 0, 1, 3, 3]]
    counts = cf.Flow([cf.Dequantize(None)], features=4, dtype="float64")
    assert counts.forward([[-2.5, -1e-9, 0.0, 41.9]])[0].tolist() == [[-3, -1, 0, 41]]


def test_what_is_no_level_has_no_probability():
    flow = cf.Flow([cf.Coupling(), cf.Sigmoid(), cf.Dequantize(4)], features=2, seed=0)
    x = [[0, 3], [1, 0.5], [-1, 2], [4, 1], [0, 1e9], [np.nan, 0], [np.inf, 0]]
    assert np.isfinite(flow.log_prob(x)).tolist() == [True] + 6 * [False]
    assert np.isnan(flow.log_prob(x)).tolist() == [False] * 5 + [True, False]
    with pytest.raises(ValueError, match="row 1"):
        flow.fit(np.array([[0, 3], [1, 0.5], [1, 1]]), epochs=1, progress=False)
    counts = cf.Flow([cf.Dequantize(None)], features=1)
    assert np.isfinite(counts.log_prob([[-7], [0], [0.5], [12345]])).tolist() == [1, 1, 0, 1]


def variational(levels=3, features=1, seed=1):
    layers = [cf.Coupling(conditioner=NET), cf.Coupling(swap=True, conditioner=NET)]
    noise = [cf.Elementwise(conditioner=NET), cf.Coupling(conditioner=NET)]
    flow = cf.Flow(
        [*layers, cf.Sigmoid(), cf.Dequantize(levels, noise)],
        features=features,
        dtype="float64",
        seed=seed,
    )
    rng = np.random.default_rng(seed)
    for name, parameter in flow.parameters.items():
        size = 0.12 if name.startswith("layers.3") else 0.25  # weights of the noise have a variance
        parameter[...] = size * rng.normal(size=parameter.shape)
    return flow


def probability(flow, x, levels):
    """P(x) of two features, by quadrature in front of the sigmoid, where tails are light."""
    inner = cf.Flow([layer.spec for layer in flow.layers[:-2]], features=2, dtype="float64", seed=0)
    for name, parameter in inner.parameters.items():
        parameter[...] = flow.parameters[name]
    node, weight = np.polynomial.legendre.leggauss(300)
    edge = special.logit(np.arange(levels + 1) / levels).clip(-15, 15)
    width = edge[x + 1] - edge[x]
    cell = np.stack(np.meshgrid(node, node, indexing="ij"), axis=-1).reshape(-1, 2)
    density = np.exp(inner.log_prob(edge[x] + width * (cell + 1) / 2))
    return density @ np.outer(weight, weight).ravel() * width.prod() / 4


def test_noise_has_the_density_that_is_told():
    """One feature, against quadrature of the histogram: log_det = -log q(v|x) - log(levels)."""
    flow = variational(features=1)
    for x in range(3):
        u, log_det = draws(flow, [x], 40000)
        noise, log_q = 3 * u[:, 0] - x, -log_det - math.log(3)
        order = np.argsort(noise)
        total = integrate.trapezoid(np.exp(log_q[order]), noise[order])
        assert total == pytest.approx(1.0, abs=2e-3)
        cumulative = integrate.cumulative_trapezoid(np.exp(log_q[order]), noise[order])
        assert stats.kstest(cumulative, "uniform").pvalue > 1e-3
        assert abs(noise.mean() - 0.5) > 0.02  # it is not uniform


@pytest.mark.parametrize("kind", ["uniform", "variational"])
def test_bounds_of_probabilities_that_are_known(kind):
    """Each x of a 3 x 3 grid: exp(log_prob) has the mean P(x), and the bounds rise towards it."""
    flow = variational(features=2)
    if kind == "uniform":
        trained = flow.parameters
        layers = [layer.spec for layer in flow.layers[:-1]]
        flow = cf.Flow([*layers, cf.Dequantize(3)], features=2, dtype="float64", seed=1)
        for name, parameter in flow.parameters.items():
            parameter[...] = trained[name]
    grid = np.stack(np.meshgrid(range(3), range(3)), axis=-1).reshape(-1, 2)
    truth = np.array([probability(flow, x, 3) for x in grid])
    assert truth.sum() == pytest.approx(1.0, abs=1e-4)
    rows = 40000
    x = np.repeat(grid, rows, axis=0)
    log_prob = flow.log_prob(x, seed=3).reshape(9, rows)
    weight = np.exp(log_prob - np.log(truth)[:, None])
    error = weight.std(axis=1) / math.sqrt(rows)
    assert np.all(np.abs(weight.mean(axis=1) - 1) < 5 * error)
    gaps, previous = {}, np.full(9, -np.inf)
    for k in (1, 5, 50):
        several = log_prob[:, : rows // k * k].reshape(9, -1, k)
        bound = np.logaddexp.reduce(several, axis=2) - math.log(k)
        mean, error = bound.mean(axis=1), bound.std(axis=1) / math.sqrt(bound.shape[1])
        assert np.all(mean > previous)
        assert np.all(mean - 5 * error < np.log(truth))
        gaps[k], previous = np.log(truth) - mean, mean
    assert np.all(gaps[50] < 0.3 * gaps[1])


def test_trained_bounds_of_a_known_distribution():
    """Fitted to probabilities: uniform < variational < importance-weighted < -entropy."""
    p = np.array([0.35, 0.02, 0.25, 0.03, 0.2, 0.15])
    x = np.repeat(np.arange(6), np.round(2000 * p).astype(int))[:, None]
    truth = float(np.sum(p * np.log(p)))
    scores = {}
    for name, noise in (("uniform", []), ("variational", [cf.Elementwise(conditioner=NET)])):
        smooth = [cf.Elementwise(cf.Spline(2)), cf.Affine(learned=True), cf.Sigmoid()]
        flow = cf.Flow([*smooth, cf.Dequantize(6, noise)], features=1, seed=0)
        flow.fit(
            x,
            epochs=200,
            optimizer=cf.Adam(0.02),
            schedule="cosine",
            batch_size=250,
            seed=0,
            progress=False,
        )
        for k in (1, 10, 100):
            levels = np.repeat(np.arange(6), 4000)[:, None]
            bound = flow.importance_weighted_log_prob(levels, k, seed=1).reshape(6, 4000)
            error = math.sqrt(p**2 @ bound.var(axis=1) / 4000)
            scores[name, k] = p @ bound.mean(axis=1), error
    chain = [("uniform", 1), ("variational", 1), ("variational", 10), ("variational", 100)]
    for lower, higher in itertools.pairwise(chain):
        (low, low_error), (high, high_error) = scores[lower], scores[higher]
        assert high - low > 2 * math.hypot(low_error, high_error), (lower, higher, scores)
    for lower, higher in itertools.pairwise(("uniform", k) for k in (1, 10, 100)):
        (low, low_error), (high, high_error) = scores[lower], scores[higher]
        assert high - low > 2 * math.hypot(low_error, high_error), (lower, higher, scores)
    assert all(score + 3 * error < truth for score, error in scores.values())


def test_bits_per_dimension():
    """Uniform probabilities on 8 levels are 3 bits each, whatever the number of features."""
    flow = cf.Flow([cf.Dequantize(8)], features=5, base=cf.Uniform(0.0, 1.0), dtype="float64")
    x = np.random.default_rng(0).integers(0, 8, size=(100, 5))
    bits = cf.bits_per_dimension(-flow.log_prob(x), flow.features)
    assert np.allclose(bits, 3.0, rtol=1e-14)
    assert cf.bits_per_dimension(math.log(2), 1) == 1.0
    with pytest.raises(ValueError, match="features must be 1 or more, got 0"):
        cf.bits_per_dimension(1.0, 0)


def test_logit_of_pixels():
    """Sigmoid with ends beyond 0 and 1 is the logit of alpha + (1 - 2 alpha) x."""
    alpha = 0.05
    low, high = -alpha / (1 - 2 * alpha), (1 - alpha) / (1 - 2 * alpha)
    layers = [cf.Sigmoid(low, high), cf.Dequantize(256)]
    flow = cf.Flow(layers, shape=(1, 4, 4), dtype="float64")
    dequantize = cf.Flow([cf.Dequantize(256)], shape=(1, 4, 4), dtype="float64")
    x = np.random.default_rng(0).integers(0, 256, size=(10, 1, 4, 4))
    u, log_det = flow.inverse(x, seed=4)
    y, _ = dequantize.inverse(x, seed=4)
    p = alpha + (1 - 2 * alpha) * y
    assert np.allclose(u, np.log(p / (1 - p)), rtol=1e-12)
    slope = (1 - 2 * alpha) / (p * (1 - p)) / 256
    assert np.allclose(log_det, np.log(slope).sum(axis=(1, 2, 3)), rtol=1e-12)


def test_bad_options():
    for levels in (1, 0, -3, 65537):
        with pytest.raises(
            ValueError, match=f"levels must be from 2 to 65536 or None, got {levels}"
        ):
            cf.Dequantize(levels)
    with pytest.raises(TypeError):
        cf.Dequantize(2.5)
    with pytest.raises(TypeError, match=r"layers expects sequence of Layer, got \[MLP\(\)\]"):
        cf.Dequantize(2, [cf.MLP()])
    split = cf.Dequantize(4, [cf.Coupling(conditioner=cf.ConvNet([3]))])
    with pytest.raises(ValueError, match="reads images"):
        cf.Flow([split], features=4)
