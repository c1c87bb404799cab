"""The Affine beside the data that a first fit sets: its shift and scale against NumPy's."""

import numpy as np
import pytest

import cflows as cf

RNG = np.random.default_rng(0)
X = RNG.normal([3.0, -200.0], [2.0, 0.5], (400, 2))


def fitted(x, layers=None, **options):
    """The flow and its shift and scale after one epoch."""
    layers = [cf.Coupling(hidden=(4,)), cf.Affine()] if layers is None else layers
    flow = cf.Flow(layers, x.shape[1], dtype="float64", seed=0)
    flow.fit(x, epochs=1, seed=0, progress=False, **{"validation": None, **options})
    (values,) = flow.buffers.values()
    return flow, values.reshape(2, -1).copy()


def moments(x, weights=None):
    mean = np.average(x, axis=0, weights=weights)
    return np.array([mean, np.sqrt(np.average((x - mean) ** 2, axis=0, weights=weights))])


def test_moments():
    np.testing.assert_allclose(fitted(X)[1], moments(X), rtol=1e-12)


def test_moments_are_weighted():
    weights = RNG.uniform(0, 3, len(X))
    np.testing.assert_allclose(fitted(X, weights=weights)[1], moments(X, weights), rtol=1e-12)


def test_noise_counts():
    expected = moments(X)
    jitter = np.array([0.0, 1.0])
    expected[0] += jitter / 2
    expected[1] = np.sqrt(expected[1] ** 2 + jitter**2 / 12)
    np.testing.assert_allclose(fitted(X, jitter=jitter)[1], expected, rtol=1e-12)


def test_rows_without_weight_have_no_say():
    x, weights = X.copy(), np.ones(len(X))
    x[0], weights[0] = 9.96921e36, 0.0
    x[7], weights[7] = -1e300, 0.0
    kept = np.delete(X, [0, 7], axis=0)
    np.testing.assert_allclose(fitted(x, weights=weights)[1], moments(kept), rtol=1e-12)


@pytest.mark.parametrize("unit", [1e170, 1e-170])
def test_squares_neither_overflow_nor_vanish(unit):
    expected = moments(X) * unit
    np.testing.assert_allclose(fitted(X * unit)[1], expected, rtol=1e-12)


def test_weights_of_any_unit():
    weights = RNG.uniform(1, 2, len(X))
    for unit in (1e-300, 1e300):
        found = fitted(X, weights=weights * unit)[1]
        np.testing.assert_allclose(found, moments(X, weights), rtol=1e-12)


def test_a_large_offset_loses_nothing():
    x = X + 2459000.5e6
    np.testing.assert_allclose(fitted(x)[1][1], (x - x[0]).std(axis=0), rtol=1e-12)


def test_a_column_without_spread_keeps_scale_one():
    x = X.copy()
    x[:, 0] = 5.0
    np.testing.assert_array_equal(fitted(x)[1][:, 0], [5.0, 1.0])


def test_the_affine_may_end_a_chain():
    layers = [cf.Chain([cf.Coupling(hidden=(4,)), cf.Chain([cf.Affine()])])]
    np.testing.assert_allclose(fitted(X, layers)[1], moments(X), rtol=1e-12)


@pytest.mark.parametrize(
    "layers",
    [
        [cf.Affine(), cf.Coupling(hidden=(4,))],
        [cf.Coupling(hidden=(4,)), cf.Affine(shift=0.0)],
        [cf.Coupling(hidden=(4,)), cf.Inverse(cf.Affine())],
    ],
    ids=["not beside the data", "given", "inverse"],
)
def test_others_stay(layers):
    _, found = fitted(X, layers)
    np.testing.assert_array_equal(found, [[0.0, 0.0], [1.0, 1.0]])


def test_the_first_fit_decides():
    flow, first = fitted(X)
    flow.fit(X * 10 + 5, validation=None, epochs=1, seed=0, progress=False)
    (values,) = flow.buffers.values()
    np.testing.assert_array_equal(values.reshape(2, -1), first)


def test_a_fit_on_rescaled_data_sets_it_again_on_demand():
    """A flow of a column and its context in other units is worth as much as a new one."""
    rng = np.random.default_rng(1)
    z = rng.normal(size=(2000, 1))
    x, context = 2 * z + 0.2 * rng.normal(size=z.shape), 3 + z
    options = {"epochs": 30, "seed": 0, "progress": False}

    def new():
        return cf.maf(1, 1, hidden=(16,), context_features=1, seed=0)

    flow = new()
    flow.fit(x, context, **options)
    before = {name: array.copy() for name, array in flow.buffers.items()}
    flow.fit(1e4 + 50 * x, 7e5 + 9 * context, standardize="again", **options)
    fresh = new()
    fresh.fit(1e4 + 50 * x, 7e5 + 9 * context, **options)
    for name, array in flow.buffers.items():
        np.testing.assert_array_equal(array, fresh.buffers[name])
        assert (array != before[name]).all()
    nats = [f.log_prob(1e4 + 50 * x, 7e5 + 9 * context).mean() for f in (flow, fresh)]
    assert nats[0] == pytest.approx(nats[1], abs=0.05)


def test_setting_it_again_is_undone_where_the_data_are_refused():
    flow = cf.realnvp(1, 1, columns=[cf.positive], seed=0)
    x = np.exp(X[:, :1])
    flow.fit(x, epochs=1, seed=0, progress=False)
    before = {name: array.copy() for name, array in flow.buffers.items()}
    x[7] = -1.0
    with pytest.raises(ValueError, match="row 7 has log_prob -inf"):
        flow.fit(x, validation=None, epochs=1, standardize="again", progress=False)
    for name, array in flow.buffers.items():
        np.testing.assert_array_equal(array, before[name])
    with pytest.raises(ValueError, match="standardize must be 'once' or 'again', got True"):
        flow.fit(x, standardize=True)


def test_a_fit_that_sets_it_again_resumes(tmp_path):
    path = tmp_path / "fit.safetensors"
    flows = [cf.maf(2, 1, hidden=(8,), dtype="float64", seed=0) for _ in range(3)]
    again = {"standardize": "again", "seed": 3, "progress": False, "validation": None}
    for flow in flows:
        flow.fit(X, epochs=1, seed=0, progress=False)
    flows[0].fit(5 * X + 1, epochs=4, **again)
    flows[1].fit(
        5 * X + 1, epochs=4, checkpoint=path, callback=lambda report: report.epoch == 2, **again
    )
    flows[2].fit(5 * X + 1, epochs=4, resume=path, **again)
    for name, array in flows[0].buffers.items():
        np.testing.assert_array_equal(array, flows[2].buffers[name])
    for name, array in flows[0].parameters.items():
        np.testing.assert_array_equal(array, flows[2].parameters[name])


@pytest.mark.filterwarnings("ignore::cflows.DataWarning")
@pytest.mark.parametrize("recipe", [cf.realnvp, cf.nsf])  # maf has batch norms, which see them all
def test_robust_is_median_and_quantiles(recipe):
    """Five numbers of 1e6 in 5,000 cost next to nothing: the others have their density."""
    rng = np.random.default_rng(0)
    clean = rng.normal([1.0, -3.0], [1.0, 5.0], (5000, 2))
    x = clean.copy()
    x[::1000] = 1e6
    flow = recipe(2, 2, hidden=(16,), standardize="robust", seed=0)
    flow.fit(x, epochs=40, seed=0, progress=False)
    (values,) = (v for name, v in flow.buffers.items() if name.endswith("shift_scale"))
    shift, scale = values.reshape(2, 2)
    np.testing.assert_allclose(shift, np.median(x, axis=0), atol=0.1)
    low, high = np.quantile(x, [0.158655, 0.841345], axis=0)
    np.testing.assert_allclose(scale, (high - low) / 2, rtol=0.05)  # of nine tenths
    truth = -np.log(5) - 1 - np.log(2 * np.pi)
    assert flow.log_prob(rng.normal([1.0, -3.0], [1.0, 5.0], (4000, 2))).mean() == pytest.approx(
        truth, abs=0.1
    )


def test_robust_of_weights_of_logarithms_and_of_equal_numbers():
    rng = np.random.default_rng(0)
    x, weights = np.exp(rng.normal(size=(2000, 1))), rng.uniform(0.5, 3, 2000)
    flow = cf.maf(1, 1, hidden=(8,), columns=[cf.positive], standardize="robust", seed=0)
    flow.fit(x, None, weights, validation=None, epochs=1, progress=False)
    order = np.argsort(x[:, 0])
    share = np.cumsum(weights[order]) / weights.sum()
    low, middle, high = (
        np.log(x[order[np.searchsorted(share, q)], 0]) for q in (0.1587, 0.5, 0.8413)
    )
    shift, scale = next(iter(flow.buffers.values()))
    assert shift == pytest.approx(middle, abs=2e-3) and scale == pytest.approx(
        (high - low) / 2, rel=2e-2
    )
    mostly = np.where(np.arange(1000) % 10 == 0, rng.normal(size=1000), 0.0)[:, None]
    equal = cf.maf(1, 1, hidden=(8,), standardize="robust", seed=0)
    equal.fit(mostly, validation=None, epochs=1, progress=False)
    np.testing.assert_allclose(next(iter(equal.buffers.values())), [mostly.mean(), mostly.std()])
    with pytest.raises(ValueError, match="'robust' or 'whiten', got 'rob'"):
        cf.maf(2, standardize="rob")


@pytest.mark.parametrize("layers", [[cf.Affine()], [cf.Affine(), cf.Exp()]])
def test_images_have_one_shift_and_scale_a_channel(layers):
    """Also with pixels that never change, such as those of a border."""
    z = RNG.normal(size=(300, 2, 3, 5)) * [[[0.3]], [[0.01]]] + [[[2.0]], [[-5.0]]]
    z[:, 0, 0] = 1.0
    weights = RNG.uniform(0, 3, len(z))
    x = np.exp(z) if len(layers) > 1 else z
    flow = cf.Flow([cf.ActNorm(), *layers], shape=(2, 3, 5), dtype="float64", seed=0)
    flow.fit(x, weights=weights, validation=None, epochs=1, seed=0, progress=False)
    (values,) = flow.buffers.values()
    of_pixels = np.repeat(weights, 15)
    expected = np.array([moments(z[:, c].ravel(), of_pixels) for c in (0, 1)])
    np.testing.assert_allclose(values.reshape(2, 2, 15)[:, :, 0], expected.T, rtol=1e-10)
    assert (values.reshape(4, 15) == values.reshape(4, 15)[:, :1]).all()


def test_a_robust_affine_of_images_is_refused():
    with pytest.raises(ValueError, match="Affine: robust takes vectors, the flow has images"):
        cf.Flow([cf.Affine(robust=True)], shape=(2, 3, 5))
