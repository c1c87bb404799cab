"""Resampled bases: densities, acceptance and samples against formulas and quadrature."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import special, stats

import cflows as cf

GRID = np.linspace(-9.0, 9.0, 2001)
STEP = GRID[1] - GRID[0]
NET = cf.MLP((8,), activation="tanh")


def acceptance(flow: cf.Flow, z: np.ndarray) -> np.ndarray:
    weights = [
        (
            flow.parameters[f"base.network.linear{i}.weight"].astype(float),
            flow.parameters[f"base.network.linear{i}.bias"].astype(float),
        )
        for i in (0, 1)
    ]
    hidden = np.tanh(z @ weights[0][0].T + weights[0][1])
    return np.asarray(special.expit(hidden @ weights[1][0].T + weights[1][1])[:, 0])


def plane(step: float = 0.06) -> np.ndarray:
    t = np.arange(-7.0, 7.0, step)
    return np.stack(np.meshgrid(t, t, indexing="ij"), axis=-1).reshape(-1, 2)


def resampled(features: int = 1, dtype: str = "float64", **options: Any) -> cf.Flow:
    """With weights as if it had learned something, and the Z of quadrature."""
    base = cf.Resampled(NET, **options)
    flow = cf.Flow([], features, base=base, dtype=dtype, seed=0)
    rng = np.random.default_rng(3)
    for name, value in flow.parameters.items():
        if name != "base.acceptance":
            value[...] = rng.normal(size=value.shape)
    z, area = (GRID[:, None], STEP) if features == 1 else (plane(), 0.06**2)
    density = np.exp(stats.norm.logpdf(z).sum(1))
    flow.parameters["base.acceptance"][:] = (acceptance(flow, z) * density).sum() * area
    return flow


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("truncation", [1, 2, 100])
def test_densities(truncation: int, learned: bool, dtype: str) -> None:
    flow = resampled(2, truncation=truncation, learned=learned, dtype=dtype)
    loc, scale, x = np.zeros(2), np.ones(2), plane(0.5)
    if learned:
        loc = flow.parameters["base.loc"].astype(float)
        scale = np.exp(flow.parameters["base.log_scale"].astype(float))
    z = (x - loc) / scale
    mean = float(flow.parameters["base.acceptance"][0])
    rejected = (1 - mean) ** (truncation - 1)
    factor = (1 - rejected) * acceptance(flow, z) / mean + rejected
    expected = stats.norm(loc, scale).logpdf(x).sum(1) + np.log(factor)
    tolerance = {"float32": 3e-5, "float64": 1e-11}[dtype]
    np.testing.assert_allclose(flow.log_prob(x), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("truncation", [2, 5, 100])
def test_densities_integrate_to_one(truncation: int) -> None:
    line = resampled(1, truncation=truncation)
    assert np.exp(line.log_prob(GRID[:, None])).sum() * STEP == pytest.approx(1, abs=1e-9)
    flow = resampled(2, truncation=truncation)
    assert np.exp(flow.log_prob(plane())).sum() * 0.06**2 == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("truncation", [1, 2, 30])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_samples_have_the_density(truncation: int, dtype: str) -> None:
    flow = resampled(1, truncation=truncation, dtype=dtype)
    cumulative = np.cumsum(np.exp(flow.log_prob(GRID[:, None]).astype(float))) * STEP
    x = flow.sample(40_000, seed=2)[:, 0].astype(float)
    assert stats.kstest(x, lambda t: np.interp(t, GRID + STEP / 2, cumulative)).pvalue > 1e-3


def test_a_sample_is_the_first_accepted_try_whatever_the_others() -> None:
    flow = resampled(2, truncation=7)
    x, density = flow.sample_and_log_prob(100, seed=5)
    np.testing.assert_array_equal(flow.sample(30, seed=5, start=50), x[50:80])
    np.testing.assert_allclose(density, flow.log_prob(x), rtol=1e-12)
    for value in (flow.parameters["base.network.linear1.weight"],):
        value[...] = 0.0
    flow.parameters["base.network.linear1.bias"][:] = 50.0  # all are accepted
    flow.parameters["base.acceptance"][:] = 1.0
    first = flow.sample(100, seed=5)
    flow.parameters["base.network.linear1.bias"][:] = -50.0  # none is but the last
    last = flow.sample(100, seed=5)
    assert not np.any(first == last)
    np.testing.assert_allclose(flow.log_prob(first[:0]), [])
    # The tries of a row are all that it may be.
    assert all(stats.kstest(part.ravel(), "norm").pvalue > 1e-3 for part in (first, last))


@pytest.mark.parametrize("mean", [0.0, 1e-9, 0.5, 1.0])
def test_extreme_acceptance_is_finite(mean: float) -> None:
    for dtype in ("float32", "float64"):
        flow = resampled(2, dtype=dtype)
        flow.parameters["base.acceptance"][:] = mean
        x = np.vstack([plane(1.0), [[1e6, -1e6], [np.nan, 0.0]]])
        density, score = flow.log_prob(x), flow.grad_log_prob(x)
        assert np.isfinite(density[:-1]).all() and np.isfinite(score[:-1]).all()
        assert np.isnan(density[-1])
    # As Z goes to 0, (1 - r) / Z goes to T - 1.
    flow.parameters["base.acceptance"][:] = 1e-6
    z = plane(0.7)
    expected = stats.norm.logpdf(z).sum(1) + np.log1p(
        99 * acceptance(flow, z) * (1 - 49e-6) - 99e-6
    )
    np.testing.assert_allclose(flow.log_prob(z), expected, rtol=1e-6)


def ring(n: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    angle, radius = rng.uniform(0, 2 * np.pi, n), 1.5 + 0.1 * rng.normal(size=n)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def test_a_fit_learns_a_ring_and_its_density_integrates_to_one() -> None:
    """Z is the mean of 4 samples for each of 1,800 rows: within 5 of its standard errors."""
    x = ring(2000)
    base = cf.Resampled(cf.MLP((32, 32), activation="silu"), truncation=20)
    flow = cf.Flow([], 2, base=base, seed=0)
    flow.fit(x, epochs=30, seed=0, progress=False, optimizer=cf.Adam(5e-3))
    gain = flow.log_prob(x).mean() - stats.norm.logpdf(x).sum(1).mean()
    assert gain > 0.6
    z = plane()
    mean = float(flow.parameters["base.acceptance"][0])
    # From the density itself: a = Z ((p / pi - r) / (1 - r)).
    ratio = np.exp(flow.log_prob(z).astype(float) - stats.norm.logpdf(z).sum(1))
    rejected = (1 - mean) ** 19
    a = mean * (ratio - rejected) / (1 - rejected)
    weight = np.exp(stats.norm.logpdf(z).sum(1)) * 0.06**2
    truth = (a * weight).sum()
    error = np.sqrt((a**2 * weight).sum() - truth**2) / np.sqrt(4 * 1800)
    assert abs(mean - truth) < 5 * error < 0.1 * truth
    inside = np.abs(np.linalg.norm(z, axis=1) - 1.5) < 0.4
    share = np.exp(flow.log_prob(z[inside])).sum() * 0.06**2 * truth / mean
    radius = np.linalg.norm(flow.sample(20_000, seed=1), axis=1)
    found = np.mean(np.abs(radius - 1.5) < 0.4)
    assert abs(found - share) < 0.02 and share > 0.6


def test_training_is_the_same_on_any_threads(tmp_path: Path) -> None:
    x, found = ring(300), []
    before = cf.get_num_threads()
    for threads in (1, 2):
        cf.set_num_threads(threads)
        flow = cf.Flow([cf.Coupling(hidden=(4,))], 2, base=cf.Resampled(NET), seed=0)
        flow.fit(x, epochs=2, seed=0, progress=False)
        found.append(flow.log_prob(x))
    cf.set_num_threads(before)
    np.testing.assert_array_equal(*found)
    flow.save(tmp_path / "flow")
    np.testing.assert_array_equal(cf.load(tmp_path / "flow").log_prob(x), found[0])
    # Scoring reads the stored Z alone: rows do not depend on each other.
    np.testing.assert_array_equal(flow.log_prob(x[7:8]), found[0][7:8])


def normal_at_one(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return -0.5 * ((x - 1.0) ** 2).sum(1), 1.0 - x


def test_a_target_is_approached() -> None:
    flow = cf.Flow([], 2, base=cf.Resampled(NET, truncation=5, learned=True), seed=0)
    flow.fit_target(normal_at_one, steps=5, seed=0)
    assert all(np.isfinite(v).all() for v in flow.parameters.values())


def test_what_cannot_be_is_told() -> None:
    for options, message in [
        ({"truncation": 0}, "truncation must be from 1 to 1000, got 0"),
        ({"draws": 1001}, "draws must be from 1 to 1000, got 1001"),
        ({"momentum": 0.0}, "momentum must be more than 0 and at most 1, got 0"),
    ]:
        with pytest.raises(ValueError, match=message):
            cf.Resampled(NET, **options)
    with pytest.raises(ValueError, match="its distribution function is not known"):
        resampled(1).cdf([0.0])
