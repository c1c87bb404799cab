"""Data in their own units: scales, offsets and bounds cost nothing, on either side of a flow."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

import cflows as cf

RNG = np.random.default_rng(0)
Z = RNG.normal(size=(3000, 1))
NEW = RNG.normal(size=(3000, 1))
DTYPES = ("float32", "float64")


def normal_nats(deviation: float) -> float:
    """The mean log-density of a normal distribution under itself."""
    return -0.5 * math.log(2 * math.pi * math.e * deviation**2)


def fitted(recipe: Callable[..., cf.Flow], x: np.ndarray, **options: Any) -> cf.Flow:
    flow = recipe(x.shape[1], 2, hidden=(16,), seed=0, **options)
    flow.fit(x, epochs=30, validation=0.1, patience=10, seed=0, progress=False)
    return flow


NEURAL = [cf.naf, cf.bnaf, cf.residual, cf.planar, cf.sylvester, cf.gaussianization]
RECIPES = {"maf": cf.maf, "nsf": cf.nsf, "nsf_ar": cf.nsf_ar}

Map = Callable[[np.ndarray], np.ndarray]

# A column, its numbers as a function of a standard normal, and the logarithm of that one's slope.
COLUMNS: dict[str, tuple[cf.Column, Map, Map]] = {
    "time stamps": (cf.real, lambda z: 1.126e9 + 0.05 * z, lambda z: np.log(0.05)),
    "large": (cf.real, lambda z: 1e50 * z, lambda z: np.log(1e50)),
    "small": (cf.real, lambda z: 1e-50 * z, lambda z: np.log(1e-50)),
    "narrow and positive": (cf.positive, lambda z: 938.272 + 0.005 * z, lambda z: np.log(0.005)),
    "positive over decades": (
        cf.positive,
        lambda z: np.exp(5 * z - 40),
        lambda z: np.log(5) + 5 * z - 40,
    ),
    "narrow within bounds": (
        cf.interval(0, 2000),
        lambda z: 1000 + 0.05 * z,
        lambda z: np.log(0.05),
    ),
    "near an end": (cf.interval(0, 1), lambda z: 1 - np.exp(z - 12), lambda z: z - 12),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_has_its_density_in_its_own_units(name: str, recipe: str, dtype: str) -> None:
    column, of, log_slope = COLUMNS[name]
    flow = fitted(RECIPES[recipe], of(Z), columns=[column], dtype=dtype)
    truth = (stats.norm.logpdf(NEW) - log_slope(NEW)).mean()
    assert flow.log_prob(of(NEW)).mean() == pytest.approx(truth, abs=0.1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", COLUMNS)
def test_samples_hold_what_their_density_was_taken_of(name: str, dtype: str) -> None:
    """Scored again they have the density with which they were drawn, and are spread as data are."""
    column, of, _ = COLUMNS[name]
    flow = fitted(cf.maf, of(Z), columns=[column], dtype=dtype)
    x, log_prob = flow.sample_and_log_prob(2000, seed=1)
    tolerance = 2e-3 if dtype == "float32" else 2e-5  # time stamps have 8 digits of a deviation
    np.testing.assert_allclose(flow.log_prob(x), log_prob, atol=tolerance)
    assert stats.ks_2samp(x[:, 0], of(NEW)[:, 0]).pvalue > 1e-4
    u, _ = flow.inverse(x)
    again, _ = flow.forward(u)
    assert again.dtype == x.dtype
    assert np.quantile(np.abs(again - x), 0.99) < 1e-4 * x.std()


def test_samples_are_of_the_flows_dtype_where_that_holds_them() -> None:
    ordinary = fitted(cf.maf, 20 + Z)
    assert ordinary.sample(3).dtype == ordinary.forward([[0.0]])[0].dtype == np.float32
    stamps = fitted(cf.maf, 1.126e9 + 0.05 * Z)
    assert stamps.sample(3).dtype == stamps.forward([[0.0]])[0].dtype == np.float64
    assert stamps.inverse([[1.126e9]])[0].dtype == stamps.log_prob([[1.126e9]]).dtype == np.float32
    for flow, x, dtype in [(ordinary, [[20.0]], np.float32), (stamps, [[1.126e9]], np.float64)]:
        assert flow.grad_log_prob(x).dtype == flow.vjp(x, [[1.0]]).x.dtype == dtype
        assert flow.vjp([[0.0]], [[1.0]], direction="forward").x.dtype == np.float32


def test_a_target_and_the_evidence_see_samples_unrounded() -> None:
    """A normal far from 0: the evidence is 1, by weights that rounding would spread wildly."""
    deviation, mean = 0.05, 1.126e9

    def target(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        assert x.dtype == np.float64
        z = (x - mean) / deviation
        density = -0.5 * (z**2 + math.log(2 * math.pi * deviation**2)).sum(1)
        return density, -z / deviation

    flow = cf.Flow([cf.Affine(mean, deviation)], features=1)
    found = flow.importance_sample(lambda x: target(x)[0], 4000, seed=0)
    assert found.log_evidence == pytest.approx(0.0, abs=1e-3)
    trained = cf.Flow([cf.Elementwise(), cf.Affine(mean, 1.3 * deviation)], features=1, seed=0)
    history = trained.fit_target(target, steps=300, optimizer=cf.Adam(1e-2), seed=0)
    assert history.elbo[-1] == pytest.approx(0.0, abs=0.02)


# ---- gradients with respect to x ---- #

SCALES = (1e-50, 1e-39, 1.0, 1e39, 1e50)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", SCALES)
def test_gradients_with_respect_to_x_are_in_its_units(scale: float, dtype: str) -> None:
    """Of normal features beside each other: more of them, and more samples, than are done at a
    time."""
    mean = scale * np.linspace(-1.0, 1.0, 37)
    flow = cf.Flow([cf.Affine(mean, scale)], features=37, dtype=dtype)
    z, du = np.random.default_rng(1).normal(size=(2, 203, 37))
    x = mean + scale * z
    wide = dtype if scale == 1.0 else "float64"
    score, cotangents = flow.grad_log_prob(x), flow.vjp(x, du).x
    assert score.dtype == cotangents.dtype == flow.sample(1).dtype == wide
    np.testing.assert_allclose(score * scale, (mean - x) / scale, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(cotangents * scale, du, rtol=1e-6)
    back = flow.vjp(z, du / scale, direction="forward").x
    assert back.dtype == dtype
    np.testing.assert_allclose(back, du, rtol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("middle", [-200.0, -90.0, 0.0, 90.0])
def test_the_score_of_a_log_normal_column(middle: float, dtype: str) -> None:
    """Slopes that are other ones everywhere, beside a column without units of its own."""
    flow = cf.Flow([cf.Affine([middle, 0.0], 0.5), cf.OnFeatures([0], cf.Exp())], 2, dtype=dtype)
    z = np.random.default_rng(1).normal(size=(100, 2))
    x = np.stack([np.exp(middle + 0.5 * z[:, 0]), 0.5 * z[:, 1]], axis=1)
    expected = np.stack([-(z[:, 0] / 0.5 + 1) / x[:, 0], -z[:, 1] / 0.5], axis=1)
    score, log_prob = flow.grad_log_prob(x, return_log_prob=True)
    assert score.dtype == (dtype if middle == 0.0 else "float64") == flow.sample(1).dtype
    size = np.abs(expected).mean(axis=0)
    np.testing.assert_allclose(score / size, expected / size, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(log_prob, flow.log_prob(x))
    one = flow.vjp(x, -flow.inverse(x)[0], np.ones(100)).x  # of a normal base it is the score
    np.testing.assert_allclose(one / size, score / size, rtol=1e-5, atol=1e-5)
    outside = flow.grad_log_prob([[-x[0, 0], 1.0], [x[0, 0], np.inf], [np.nan, 1.0]])
    assert (outside[:2] == 0.0).all() and np.isnan(outside[2]).any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [1e-39, 1e39, 1e50])
@pytest.mark.parametrize("recipe", [cf.realnvp, cf.maf, cf.nsf], ids=lambda r: r.__name__)
def test_scores_of_fitted_flows_are_slopes_of_their_density(
    recipe: Callable[..., cf.Flow], scale: float, dtype: str
) -> None:
    data = scale * (np.random.default_rng(1).normal(size=(1000, 2)) @ [[1.0, 0.5], [0.0, 1.0]])
    flow, x = fitted(recipe, data, dtype=dtype), data[:50]
    exact, h = flow.astype("float64"), 1e-6 * scale
    steps = h * np.eye(2)
    slopes = [(exact.log_prob(x + s) - exact.log_prob(x - s)) / (2 * h) for s in steps]
    score = flow.grad_log_prob(x)
    assert score.dtype == np.float64
    tolerance = 2e-3 if dtype == "float32" else 1e-6
    expected = np.stack(slopes, axis=1) * scale
    np.testing.assert_allclose(score * scale, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", SCALES)
def test_targets_in_any_units(scale: float, dtype: str) -> None:
    """The gradients of a normal density go with the samples through the map, either way."""

    def target(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        z = (x.astype(np.float64) - 0.3 * scale) / scale
        density = -0.5 * (z**2).sum(1) - math.log(scale * math.sqrt(2 * math.pi))
        return density, -z / scale

    flow = cf.Flow([cf.Elementwise(), cf.Affine(scale=1.3 * scale)], 1, dtype=dtype, seed=0)
    history = flow.fit_target(target, steps=300, optimizer=cf.Adam(1e-2), seed=0)
    assert history.skipped == 0
    assert history.elbo[-1] == pytest.approx(0.0, abs=0.01)
    found = flow.importance_sample(target, 2000, seed=0)
    assert found.log_evidence == pytest.approx(0.0, abs=0.01)


def test_numbers_of_many_decades_do_not_vanish() -> None:
    """The middle of the column is a number of float32, but not those on its lower side."""
    flow = cf.Flow([cf.Affine(-70.0, 10.0), cf.Exp()], features=1)
    x, log_prob = flow.sample_and_log_prob(20_000, seed=0)
    assert x.dtype == np.float64 and x.min() > 0.0
    np.testing.assert_allclose(flow.log_prob(x), log_prob, rtol=1e-4, atol=1e-3)
    z = (np.log(x) + 70) / 10
    np.testing.assert_allclose(flow.grad_log_prob(x) * x, -(z / 10 + 1), rtol=1e-4, atol=1e-4)


# ---- integers and angles ---- #


@pytest.mark.parametrize("dtype", DTYPES)
def test_counts_of_many_digits(dtype: str) -> None:
    """The bound is near the entropy of a Poisson distribution, and samples are whole."""
    x = RNG.poisson(3e7, size=(3000, 1)).astype(np.float64)
    flow = fitted(cf.maf, x, columns=[cf.count], dtype=dtype)
    new = RNG.poisson(3e7, size=(3000, 1))
    assert flow.log_prob(new).mean() == pytest.approx(normal_nats(math.sqrt(3e7)), abs=0.1)
    samples = flow.sample(2000, seed=0)
    assert (samples == np.round(samples)).all() and len(np.unique(samples)) > 1500
    assert np.isfinite(flow.log_prob(samples)).all()


def test_turns_are_taken_off_before_any_rounding() -> None:
    """A column of period 0.0334, over an hour."""
    phase = 0.2 + 0.05 * RNG.normal(size=(3000, 1))
    turns = RNG.integers(0, int(3600 / 0.0334), size=phase.shape)
    column = cf.circular(0.0334)
    flow = cf.nsf(1, 2, hidden=(16,), columns=[column], bins=16, seed=0)
    x, fast = 0.0334 * (phase + turns), cf.Adam(5e-3)
    flow.fit(x, epochs=100, validation=0.1, optimizer=fast, seed=0, progress=False)
    truth = normal_nats(0.05 * 0.0334)
    new = 0.2 + 0.05 * RNG.normal(size=(3000, 1))
    turns = RNG.integers(0, int(3600 / 0.0334), size=new.shape)
    far = flow.log_prob(0.0334 * (new + turns))
    assert far.mean() == pytest.approx(truth, abs=0.1)
    np.testing.assert_allclose(far, flow.log_prob(0.0334 * new), atol=1e-3)


# ---- context ---- #


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize(("offset", "scale"), [(0, 1), (2000, 10), (1e6, 1), (1.126e9, 0.05)])
def test_the_units_of_the_context_do_not_matter(
    offset: float, scale: float, recipe: str, dtype: str
) -> None:
    """``x = 2 z + N(0, 0.2)`` given z, in whatever units."""

    def draw(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return 2 * z + 0.2 * RNG.normal(size=z.shape), offset + scale * z

    x, context = draw(Z)
    flow = RECIPES[recipe](1, 2, hidden=(16,), context_features=1, dtype=dtype, seed=0)
    flow.fit(x, context, epochs=60, validation=0.1, seed=0, progress=False)
    assert flow.log_prob(*draw(NEW)).mean() == pytest.approx(normal_nats(0.2), abs=0.1)


def test_context_is_standardised_by_the_rows_that_count() -> None:
    context = np.concatenate([5 + 2 * Z, np.full((10, 1), 1e6)])
    weights = np.ones(len(context))
    weights[-10:] = 0.0
    weights[:1500] = 3.0
    flow = cf.maf(1, 1, hidden=(8,), context_features=1, seed=0)
    flow.fit(np.ones_like(context), context, weights, validation=None, epochs=1, progress=False)
    shift, scale = flow.buffers["context.shift_scale"]
    mean = np.average(context[:, 0], weights=weights)
    assert shift == pytest.approx(mean, rel=1e-12)
    deviation = math.sqrt(np.average((context[:, 0] - mean) ** 2, weights=weights))
    assert scale == pytest.approx(deviation, rel=1e-12)


def test_a_constant_context_and_its_switch() -> None:
    constant = np.full((100, 1), 7e8)
    flow = cf.maf(1, 1, hidden=(8,), context_features=1, seed=0)
    flow.fit(Z[:100], constant, epochs=1, progress=False)
    assert flow.buffers["context.shift_scale"].tolist() == [7e8, 1.0]
    raw = cf.maf(1, 1, hidden=(8,), context_features=1, standardize_context=False, seed=0)
    assert not raw.standardize_context and flow.standardize_context
    assert "context.shift_scale" not in raw.buffers
    assert "1 context feature, as they are" in repr(raw)
    assert not cf.maf(1, 1, seed=0).standardize_context  # there is none


def test_a_later_fit_keeps_what_standardises_the_context() -> None:
    flow = cf.maf(1, 1, hidden=(8,), context_features=1, seed=0)
    flow.fit(Z, 3 + Z, epochs=1, progress=False)
    first = flow.buffers["context.shift_scale"].copy()
    flow.fit(Z, 90 + Z, epochs=1, progress=False)
    np.testing.assert_array_equal(flow.buffers["context.shift_scale"], first)


def test_a_target_of_many_contexts_standardises_them() -> None:
    contexts = np.linspace(1000, 1004, 50)[:, None]
    flow = cf.Flow([cf.Elementwise(hidden=(16,))], 1, context_features=1, seed=0)

    def target(x: np.ndarray, context: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        z = x - (context - 1002)
        return -0.5 * (z**2).sum(1), -z

    flow.fit_target(target, contexts, steps=500, optimizer=cf.Adam(1e-2), seed=0)
    samples = flow.sample(4000, contexts[[0, -1]], seed=0)
    np.testing.assert_allclose(samples.mean((1, 2)), [-2, 2], atol=0.2)


# ---- outside of the support ---- #

SUPPORTS: dict[str, tuple[Callable[[], cf.Flow], list[float], list[float]]] = {
    "exp": (lambda: cf.Flow([cf.Exp()], 2), [0.5], [-1.0, 0.0]),
    "positive": (lambda: cf.maf(2, 1, columns=[cf.positive] * 2), [0.5], [-1e-30, 0.0]),
    "interval": (lambda: cf.nsf(2, 1, columns=[cf.interval(0, 1)] * 2), [0.5], [-0.1, 1.0, 2.0]),
    "tanh": (lambda: cf.Flow([cf.Tanh()], 2), [0.5], [1.0, -1.5]),
    "sigmoid": (lambda: cf.Flow([cf.Sigmoid(-1, 3)], 2), [0.5], [-1.0, 3.5]),
    "softplus": (lambda: cf.Flow([cf.Softplus()], 2), [0.5], [0.0, -3.0]),
    "power": (lambda: cf.Flow([cf.Exp(), cf.Power(2.0)], 2), [0.5], [0.0, -3.0]),
    "behind couplings": (
        lambda: cf.Flow([cf.Coupling(hidden=(8,)), cf.Exp(), cf.Linear("lu")], 2, seed=0),
        [0.5],
        [],
    ),
    "realnvp": (lambda: cf.realnvp(2, 2, hidden=(8,)), [0.5, -3.0], []),
    "raw": (lambda: cf.maf(2, 2, hidden=(8,), standardize=False), [0.5, -3.0], []),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", SUPPORTS)
def test_outside_of_the_support_the_density_is_0(name: str, dtype: str) -> None:
    make, inside, outside = SUPPORTS[name]
    flow = make().astype(dtype)
    outside = [*outside, np.inf, -np.inf]
    x = np.array([[number, 0.25] for number in (*inside, *outside, np.nan)])
    x = np.concatenate([x, x[:, ::-1]])
    log_prob, score = flow.log_prob(x), flow.grad_log_prob(x)
    nan = np.isnan(x).any(1)
    out = np.isin(x, outside).any(1)
    assert np.isnan(log_prob[nan]).all()
    assert (log_prob[out] == -np.inf).all() and (score[out] == 0.0).all()
    assert np.isfinite(log_prob[~nan & ~out]).all() and (score[~nan & ~out] != 0.0).any(1).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "recipe", [cf.realnvp, cf.nice, cf.maf, cf.iaf, cf.nsf, cf.nsf_ar, *NEURAL]
)
def test_far_out_the_density_is_0(recipe: Any, dtype: str) -> None:
    """Where networks overflow, at finite numbers too, in whatever units."""
    most = 1e39 if dtype == "float32" else 1e300
    points = np.array([[most, 0.5], [0.5, -most], [most / 10, most], [np.inf, 0.0], [-most, 1.0]])
    flow = recipe(2, 3, dtype=dtype, seed=0)
    flow.fit(np.random.default_rng(0).normal(size=(300, 2)), epochs=2, seed=0, progress=False)
    assert np.isneginf(flow.log_prob(points)).all()
    assert not flow.grad_log_prob(points).any()
    small = cf.Flow([*(layer.spec for layer in flow.layers[:-1]), cf.Affine(scale=[1e-40, 1.0])], 2)
    for name, value in small.parameters.items():
        value[...] = flow.parameters[name]
    assert np.isneginf(small.log_prob([[1.0, 0.0], [1e3, 0.0]])).all()
    assert np.isfinite(small.log_prob([[1e-40, 0.0]])).all()


def test_nan_and_infinity_in_one_row_is_nan() -> None:
    flow = cf.realnvp(2, 2, hidden=(8,), seed=0)
    assert np.isnan(flow.log_prob([[np.inf, np.nan]])).all()
    assert np.isnan(flow.grad_log_prob([[np.nan, -np.inf]])).any()


def test_samples_near_an_end_do_not_reach_it() -> None:
    flow = cf.nsf(1, 1, 16, columns=[cf.interval(0, 1)], seed=0)
    flow.fit(1 / (1 + np.exp(-5 * Z)), epochs=3, seed=0, progress=False)
    x, log_prob = flow.sample_and_log_prob(20_000, seed=1)
    assert x.dtype == np.float64 and x.min() > 0.0 and x.max() < 1.0
    np.testing.assert_allclose(flow.log_prob(x), log_prob, atol=2e-3)
