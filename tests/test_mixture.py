"""Mixtures of normals by their covariance, against SciPy's multivariate normals."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from scipy import special, stats

import cflows as cf

TYPES = ["spherical", "diagonal", "tied", "full"]
RNG = np.random.default_rng


class Numbers(NamedTuple):
    """What the parameters of one context mean: weights, means and factors of covariances."""

    weight: np.ndarray  # [K]
    loc: np.ndarray  # [K, features]
    factor: np.ndarray  # [K, features, features]

    @property
    def covariance(self) -> np.ndarray:
        return self.factor @ self.factor.swapaxes(1, 2)

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        terms = [
            np.log(w) + stats.multivariate_normal(loc, covariance).logpdf(x)
            for w, loc, covariance in zip(self.weight, self.loc, self.covariance, strict=True)
        ]
        return np.asarray(special.logsumexp(terms, axis=0))


def numbers_of(
    kind: str, logits: Any, loc: Any, log_scale: Any, lower: Any, minimum_scale: float = 0.0
) -> Numbers:
    logits, loc, log_scale = (np.asarray(a, float) for a in (logits, loc, log_scale))
    count, features = loc.shape
    scale = np.exp(log_scale) + minimum_scale
    scale = np.broadcast_to(scale[:, None] if kind == "spherical" else scale, loc.shape)
    factor = np.zeros((count, features, features))
    factor[:, np.arange(features), np.arange(features)] = scale
    if lower is not None:
        i, j = np.tril_indices(features, -1)
        factor[:, i, j] = lower
    return Numbers(special.softmax(logits), loc, factor)


def learned(flow: cf.Flow, kind: str, minimum_scale: float = 0.0) -> Numbers:
    parts = [flow.parameters[f"base.{name}"] for name in ("logits", "loc", "log_scale")]
    return numbers_of(kind, *parts, flow.parameters.get("base.lower"), minimum_scale)


def mixture(kind: str, features: int, components: int = 3, **options: Any) -> cf.Flow:
    base = cf.Mixture(components, covariance_type=kind, minimum_scale=options.pop("minimum", 0.0))
    flow = cf.Flow([], features, base=base, seed=0, **{"dtype": "float64", **options})
    for value in flow.parameters.values():
        value[...] = RNG(1).normal(size=value.shape)
    return flow


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("minimum", [0.0, 0.3])
@pytest.mark.parametrize("kind", TYPES)
def test_densities_are_scipys(kind: str, minimum: float, dtype: str) -> None:
    for features, components in [(1, 3), (2, 1), (4, 3)]:
        flow = mixture(kind, features, components, dtype=dtype, minimum=minimum)
        x = RNG(2).normal(size=(100, features)) * 3
        expected = learned(flow, kind, minimum).log_prob(x)
        tolerance = {"float32": 2e-5, "float64": 1e-12}[dtype]
        np.testing.assert_allclose(flow.log_prob(x), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("kind", TYPES)
def test_gradients_are_those_of_differences(kind: str) -> None:
    flow, x = mixture(kind, 3, minimum=0.1), RNG(2).normal(size=(40, 3)) * 2
    _, gradients = flow.loss_and_grad(x)
    for name, value in flow.parameters.items():
        direction = RNG(4).normal(size=value.shape)
        before, losses = value.copy(), []
        for step in (1e-5, -1e-5):
            value[...] = before + step * direction
            losses.append(-flow.log_prob(x).mean())
        value[...] = before
        slope = (losses[0] - losses[1]) / 2e-5
        np.testing.assert_allclose((gradients[name] * direction).sum(), slope, rtol=1e-7)


@pytest.mark.parametrize("kind", TYPES)
def test_samples_have_the_moments_and_densities(kind: str) -> None:
    """Within 6 of their standard errors; sliced at random, a Kolmogorov-Smirnov test."""
    n, flow = 100_000, mixture(kind, 3)
    truth, x = learned(flow, kind), flow.sample(n, seed=3)
    mean = truth.weight @ truth.loc
    spread = np.einsum("k,ki,kj->ij", truth.weight, truth.loc - mean, truth.loc - mean)
    covariance = spread + np.einsum("k,kij->ij", truth.weight, truth.covariance)
    error = 6 * np.sqrt(np.diag(covariance) / n)
    assert (np.abs(x.mean(0) - mean) < error).all()
    products = (x - mean)[:, :, None] * (x - mean)[:, None, :]
    error = 6 * products.std(0) / np.sqrt(n)
    assert (np.abs(products.mean(0) - covariance) < error).all()
    direction = RNG(5).normal(size=3)
    loc = truth.loc @ direction
    scale = np.sqrt(np.einsum("i,kij,j->k", direction, truth.covariance, direction))
    cdf = stats.norm(loc, scale).cdf
    assert stats.kstest(x @ direction, lambda t: cdf(t[:, None]) @ truth.weight).pvalue > 1e-3


@pytest.mark.parametrize("kind", TYPES)
def test_factors_follow_the_context(kind: str) -> None:
    """The outputs of the network are logits, locs, log scales and rows below diagonals."""
    net = cf.MLP((5,), activation="tanh")
    base = cf.Mixture(2, covariance_type=kind, conditioner=net, minimum_scale=0.05)
    flow = cf.Flow([], 3, context_features=2, base=base, dtype="float64", seed=0)
    for value in flow.parameters.values():
        value[...] = 0.7 * RNG(1).normal(size=value.shape)
    p = flow.parameters
    context = RNG(2).normal(size=(7, 2))
    linear = [
        (p[f"base.conditioner.{name}.weight"], p[f"base.conditioner.{name}.bias"])
        for name in ("linear0", "linear1")
    ]
    outputs = np.tanh(context @ linear[0][0].T + linear[0][1]) @ linear[1][0].T + linear[1][1]
    names = [n for n in ("logits", "loc", "log_scale", "lower") if f"base.{n}" in p]
    sizes = [p[f"base.{name}"].size for name in names]
    assert outputs.shape[1] == sum(sizes)
    x = RNG(3).normal(size=(7, 3))
    for row, c in enumerate(outputs):
        parts = np.split(c, np.cumsum(sizes)[:-1])
        parts = [
            part.reshape(p[f"base.{name}"].shape) + p[f"base.{name}"]
            for name, part in zip(names, parts, strict=True)
        ]
        truth = numbers_of(kind, *parts[:3], parts[3] if len(parts) > 3 else None, 0.05)
        found = flow.log_prob(x[row : row + 1], context[row])
        np.testing.assert_allclose(found, truth.log_prob(x[row : row + 1]), rtol=1e-11)
        samples = flow.sample(20_000, context[row], seed=row)
        error = 6 * samples.std(0) / np.sqrt(len(samples))
        assert (np.abs(samples.mean(0) - truth.weight @ truth.loc) < error).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", TYPES)
def test_harsh_parameters_and_points(kind: str, dtype: str) -> None:
    """Components that overflow count for nothing; gradients are finite where the density is."""
    for size in (10.0, 80.0):
        flow = mixture(kind, 4, dtype=dtype)
        for value in flow.parameters.values():
            value[...] = RNG(1).uniform(-size, size, size=value.shape)
        for distance in (1.0, 1e5, 1e18, 1e30):
            x = np.vstack([RNG(2).normal(size=(20, 4)) * distance, np.full((1, 4), np.nan)])
            density, score = flow.log_prob(x), flow.grad_log_prob(x)
            assert not np.isnan(density[:-1]).any() and np.isnan(density[-1])
            assert not np.isnan(score[:-1]).any()
            some = x[:-1][np.isfinite(density[:-1])]
            if len(some) > 0:
                gradients = flow.loss_and_grad(some[:1])[1]
                assert all(np.isfinite(g).all() for g in gradients.values())


def test_a_narrow_component_leaves_the_others_right() -> None:
    """In float32 the first one's substitution overflows and meets zeros below the diagonal."""
    flow = mixture("full", 3, components=2, dtype="float32")
    p = flow.parameters
    p["base.logits"][:] = 0.0
    p["base.log_scale"][...] = [[-60.0, -60.0, 0.0], [0.0, 0.5, -0.5]]
    p["base.lower"][...] = [[1.0, 0.0, -2.0], [0.4, -0.3, 0.2]]
    x = np.array([[1.0, -2.0, 0.5], [3.0, 1.0, 1.0]])
    truth = learned(flow, "full")
    expected = stats.multivariate_normal(truth.loc[1], truth.covariance[1]).logpdf(x) - np.log(2)
    np.testing.assert_allclose(flow.log_prob(x), expected, rtol=1e-5)


def test_no_component_is_narrower_than_the_minimum() -> None:
    flow = mixture("full", 2, minimum=0.1)
    flow.parameters["base.log_scale"][...] = -1e4
    assert np.isfinite(flow.log_prob(flow.parameters["base.loc"])).all()
    assert all(np.isfinite(g).all() for g in flow.loss_and_grad([[0.1, 0.2]])[1].values())


@pytest.mark.parametrize("kind", TYPES)
def test_files_hold_the_covariance(kind: str, tmp_path: Path) -> None:
    flow, x = mixture(kind, 3, minimum=0.1), RNG(0).normal(size=(5, 3))
    flow.save(tmp_path / "flow")
    loaded = cf.load(tmp_path / "flow")
    assert np.array_equal(loaded.log_prob(x), flow.log_prob(x))
    assert repr(loaded.base) == repr(flow.base)


def test_one_feature_has_nothing_below_the_diagonal() -> None:
    for kind in TYPES:
        flow = mixture(kind, 1)
        assert "base.lower" not in flow.parameters
        median = flow.quantile([0.5])
        np.testing.assert_allclose(flow.cdf(median), 0.5, rtol=1e-12)
