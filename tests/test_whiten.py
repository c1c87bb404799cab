"""A Triangular that data set: against NumPy's Cholesky factor, and what recipes gain by it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

import cflows as cf

NO_STEP = cf.SGD(1e-300)
UNIT = {"float32": 2.0**-23, "float64": 2.0**-52}


def rows(n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 3)) @ [[1.0, 0.5, -2.0], [0.0, 0.3, 1.0], [0.0, 0.0, 0.2]] + 7.0


def fit_once(flow: cf.Flow, x: Any, weights: Any = None, **options: Any) -> None:
    flow.fit(
        x, None, weights, validation=None, epochs=1, optimizer=NO_STEP, seed=0, progress=False,
        **options,
    )  # fmt: skip


def shrunk_covariance(z: np.ndarray, dtype: str = "float64", weights: Any = None) -> np.ndarray:
    n, p = z.shape
    covariance = np.cov(z.T, bias=True, aweights=weights)
    shrinkage = min(1.0, (p / n) ** 2 + 64 * UNIT[dtype])
    return (1 - shrinkage) * covariance + shrinkage * np.diag(np.diag(covariance))


@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_first_fit_sets_the_cholesky_factor(upper: bool, dtype: str) -> None:
    x = rows(40)
    flow = cf.Flow([cf.Triangular(standardize=True, upper=upper, bias=True)], 3, dtype=dtype)
    fit_once(flow, x)
    covariance = shrunk_covariance(x, dtype)
    factor = np.linalg.cholesky(covariance)
    if upper:
        factor = np.linalg.cholesky(covariance[::-1, ::-1])[::-1, ::-1]
    points, _ = flow.forward(np.vstack([np.zeros(3), np.eye(3)]))
    rtol = 1e-5 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(points[0], x.mean(axis=0), rtol=rtol)
    np.testing.assert_allclose((points[1:] - points[0]).T, factor, rtol=rtol, atol=3 * rtol)


def test_it_acts_behind_the_maps_beside_the_data_with_weights_and_noise() -> None:
    x = np.exp(rows(30_000, 1) / 3.0)
    weights = np.random.default_rng(2).integers(0, 4, len(x)).astype(float)
    layers = [cf.Triangular(standardize=True), cf.Affine(), cf.OnFeatures([0, 2], cf.Exp())]
    flow = cf.Flow(layers, 3, dtype="float64")
    fit_once(flow, x, weights, jitter=[0.0, 2.0, 0.5])
    noisy = x + [0.0, 2.0, 0.5] * np.random.default_rng(3).uniform(size=x.shape)
    z = np.column_stack([np.log(noisy[:, 0]), noisy[:, 1], np.log(noisy[:, 2])])
    correlation = np.cov(z.T, aweights=weights)
    scale = np.sqrt(np.diag(correlation))
    points, _ = flow.part(0, 1).forward(np.eye(3))
    found = points.T @ points
    np.testing.assert_allclose(found, correlation / np.outer(scale, scale), atol=0.03)


def test_one_rule_for_later_fits() -> None:
    x = rows(500)
    flow = cf.Flow([cf.Triangular(standardize=True), cf.Affine()], 3, dtype="float64")
    fit_once(flow, x)
    first = flow.parameters["layers.0.weight"].copy()
    fit_once(flow, rows(500, 5) @ np.diag([1.0, -1.0, 1.0]))
    np.testing.assert_array_equal(flow.parameters["layers.0.weight"], first)
    fit_once(flow, x @ np.diag([1.0, -1.0, 1.0]), standardize="again")
    turned = first * np.outer([1, -1, 1], [1, -1, 1])
    np.testing.assert_allclose(flow.parameters["layers.0.weight"], turned, rtol=1e-9, atol=1e-12)


def test_what_was_set_by_hand_stays() -> None:
    flow = cf.Flow([cf.Triangular(standardize=True)], 3, dtype="float64")
    flow.parameters["layers.0.weight"][1, 0] = 0.25
    fit_once(flow, rows(100))
    assert flow.parameters["layers.0.weight"][1, 0] == 0.25
    assert np.abs(flow.parameters["layers.0.diagonal"]).max() < 1e-200


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [2, 3, 50])
def test_degenerate_columns_have_a_factor(n: int, dtype: str) -> None:
    x = rows(n)
    x[:, 1] = 3.0
    x[:, 2] = x[:, 0]
    flow = cf.Flow([cf.Triangular(standardize=True), cf.Affine()], 3, dtype=dtype)
    fit_once(flow, x, batch_size=n)
    points, _ = flow.part(0, 1).forward(np.eye(3))
    z = (x - x.mean(axis=0)) / np.where(np.ptp(x, axis=0) > 0, x.std(axis=0), 1.0)
    expected = shrunk_covariance(z, dtype)
    expected[1, 1] = 1.0
    np.testing.assert_allclose(points.T @ points, expected, atol=1e-5)
    assert np.isfinite(flow.log_prob(x)).all()


@pytest.mark.parametrize("options", [{"unit": True}, {"signs": [1, 1, -1]}, {"scale": "softplus"}])
def test_what_does_not_go_together(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="standardize takes neither unit, scale nor signs"):
        cf.Triangular(standardize=True, **options)


def test_images_are_refused() -> None:
    with pytest.raises(ValueError, match="standardize takes vectors, the flow has images"):
        cf.Flow([cf.Triangular(standardize=True)], shape=(3, 4, 4))


@pytest.mark.parametrize("recipe", [cf.realnvp, cf.maf])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_columns_that_nearly_agree_are_learned(recipe: Any, dtype: str) -> None:
    """Four columns equal up to 1e-3: the Gaussian's log-likelihood; without it 2 to 9 nats less."""
    rng = np.random.default_rng(0)
    scale = np.array([1.0, 10.0, 0.1, 5.0])
    y = rng.normal(size=(8000, 1)) + 1e-3 * rng.normal(size=(8000, 4))
    x, test = y[:5000] * scale + 3.0, y[5000:]
    exact = stats.multivariate_normal(np.zeros(4), np.ones((4, 4)) + 1e-6 * np.eye(4)).logpdf(test)
    flow = recipe(4, standardize="whiten", dtype=dtype, seed=0)
    flow.fit(x, epochs=8, seed=0, progress=False)
    found = flow.log_prob(test * scale + 3.0).mean()
    assert abs(found - (exact.mean() - np.log(scale).sum())) < 0.1


def test_circular_columns_are_not_mixed() -> None:
    with pytest.raises(
        ValueError, match="mixes columns, and circular and categorical ones cannot be"
    ):
        cf.nsf(2, columns=[cf.real, cf.circular(24)], standardize="whiten")
