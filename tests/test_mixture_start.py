"""How clusters of the data start a mixture of normals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import special, stats

import cflows as cf

TYPES = ["spherical", "diagonal", "tied", "full"]
CENTRES = np.array([[0.0, 0.0], [30.0, 5.0], [-20.0, 25.0], [6.0, -40.0]])
SHARES = np.array([0.1, 0.2, 0.3, 0.4])
FACTORS = np.array([[[1, 0], [0.5, 1]], [[2, 0], [1, 0.5]], [[1, 0], [-1, 1]], [[0.5, 0], [0, 2]]])
QUICK: dict[str, Any] = {"epochs": 1, "seed": 3, "progress": False, "validation": None}
# A step of this size moves nothing: the parameters after a fit are those of the start.
STILL = cf.Adam(1e-30)


def drawn(n: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    label = rng.choice(4, p=SHARES, size=n)
    return CENTRES[label] + np.einsum("nij,nj->ni", FACTORS[label], rng.normal(size=(n, 2))), label


def truth(x: np.ndarray) -> np.ndarray:
    terms = [
        np.log(w) + stats.multivariate_normal(m, a @ a.T).logpdf(x)
        for w, m, a in zip(SHARES, CENTRES, FACTORS, strict=True)
    ]
    return np.asarray(special.logsumexp(terms, axis=0))


def started(x: np.ndarray, base: Any, layers: Any = (), **options: Any) -> cf.Flow:
    flow = cf.Flow(list(layers), x.shape[1], base=base, dtype="float64", seed=1)
    flow.fit(x, **{**QUICK, "optimizer": STILL, **options})
    return flow


def test_far_clusters_are_found_where_a_random_start_stays_lost() -> None:
    x, _ = drawn()
    short = {}
    for start in ("kmeans", "random"):
        base = cf.Mixture(4, covariance_type="full", start=start)
        flow = cf.Flow([], 2, base=base, seed=0)
        flow.fit(x, epochs=10, seed=0, progress=False, optimizer=cf.Adam(1e-2))
        short[start] = (truth(x) - flow.log_prob(x)).mean()
    assert abs(short["kmeans"]) < 0.02 and short["random"] > 1.0


@pytest.mark.parametrize("kind", TYPES)
def test_parameters_are_those_of_the_clusters(kind: str) -> None:
    """Up to the rows' worth of the pooled covariance that every cluster gets."""
    x, label = drawn()
    flow = started(x, cf.Mixture(4, covariance_type=kind))
    p = flow.parameters
    order = [int(np.argmin(((p["base.loc"] - c) ** 2).sum(1))) for c in CENTRES]
    assert sorted(order) == [0, 1, 2, 3]
    count = np.bincount(label)
    share = (count + 1) / (len(x) + 4)
    np.testing.assert_allclose(special.softmax(p["base.logits"])[order], share, rtol=1e-12)
    means = [x[label == k].mean(0) for k in range(4)]
    np.testing.assert_allclose(p["base.loc"][order], means, rtol=1e-9, atol=1e-9)
    within = [np.cov(x[label == k].T, bias=True) for k in range(4)]
    pooled = np.tensordot(count / len(x), within, 1)
    pooled[0, 1] = pooled[1, 0] = pooled[0, 1] * (1 - 1e-6)
    pooled += np.diag(1e-6 * x.var(0))
    prior = 3.0 if kind in ("tied", "full") else 2.0
    for k in range(4):
        covariance = (count[k] * within[k] + prior * pooled) / (count[k] + prior)
        if kind == "full":
            factor = np.linalg.cholesky(covariance)
            np.testing.assert_allclose(p["base.lower"][order[k]], factor[1, :1], rtol=1e-8)
            expected = np.diag(factor)
        elif kind == "tied":
            factor = np.linalg.cholesky(pooled)
            np.testing.assert_allclose(p["base.lower"], factor[1, :1], rtol=1e-8)
            expected = np.diag(factor)
        else:
            expected = np.sqrt(np.diag(covariance))
        if kind == "spherical":
            expected = np.sqrt(np.diag(covariance).mean())
        scale = np.exp(p["base.log_scale"] if kind == "tied" else p["base.log_scale"][order[k]])
        np.testing.assert_allclose(scale, expected, rtol=1e-8)


def test_the_seed_decides() -> None:
    x = np.random.default_rng(0).normal(size=(500, 2))

    def loc(seed: int) -> np.ndarray:
        return started(x, cf.Mixture(5), seed=seed).parameters["base.loc"].copy()

    assert np.array_equal(loc(1), loc(1))
    assert not np.array_equal(loc(1), loc(2))


def test_clusters_are_those_of_the_base_behind_the_layers() -> None:
    """Behind the standardisation, an ActNorm that the same fit initialises, and a coupling."""
    x, _ = drawn()
    layers = [cf.Coupling(hidden=(4,)), cf.ActNorm(), cf.Affine()]
    flow = started(1e3 + 50 * x, cf.Mixture(4, covariance_type="full"), layers)
    u, _ = flow.inverse(1e3 + 50 * x)
    distance = np.linalg.norm(u[:, None] - flow.parameters["base.loc"], axis=2)
    assert np.abs(u.mean(0)).max() < 1e-6 and distance.min(1).mean() < 0.1
    # The density is then that of the clusters alone: nothing is left to learn.
    expected = truth(x) - 2 * np.log(50)
    assert np.mean(expected - flow.log_prob(1e3 + 50 * x)) < 0.02


def test_what_has_been_set_stays() -> None:
    x, _ = drawn(400)
    bases = {
        "changed": cf.Mixture(4),
        "frozen": cf.Mixture(4),
        "fixed": cf.Mixture(4, learned=False),
        "random": cf.Mixture(4, start="random"),
        "few rows": cf.Mixture(201),
    }
    for name, base in bases.items():
        flow = cf.Flow([cf.ActNorm()], 2, base=base, dtype="float64", seed=1)
        if name == "changed":
            flow.parameters["base.logits"][0] = 0.5
        if name == "frozen":
            flow.freeze("base.*")
        before = flow.parameters["base.loc"].copy()
        flow.fit(x, **QUICK, optimizer=STILL)
        np.testing.assert_array_equal(flow.parameters["base.loc"], before, err_msg=name)
    again = started(x, cf.Mixture(4))
    before = again.parameters["base.loc"].copy()
    again.fit(x[:50] + 1.0, **QUICK, optimizer=STILL)
    np.testing.assert_array_equal(again.parameters["base.loc"], before)


def test_a_product_starts_each_mixture_from_its_features() -> None:
    x, _ = drawn()
    noise = np.random.default_rng(1).normal(size=(len(x), 1))
    base = cf.Product([cf.Normal(), cf.Mixture(4, covariance_type="full")], [1, 0, 1])
    flow = started(np.hstack([x[:, :1], noise, x[:, 1:]]), base)
    loc = flow.parameters["base.bases.1.loc"]
    for centre in CENTRES:
        assert np.linalg.norm(loc - centre, axis=1).min() < 0.2


@pytest.mark.parametrize("kind", TYPES)
def test_rows_without_spread_and_features_that_depend_on_each_other(kind: str) -> None:
    z = np.random.default_rng(0).normal(size=(300, 1))
    for x in (np.ones((300, 3)), np.hstack([z, 2 * z, np.ones_like(z)]), np.repeat(z[:3], 100, 0)):
        flow = cf.Flow([], x.shape[1], base=cf.Mixture(4, covariance_type=kind), seed=0)
        with pytest.warns(cf.DataWarning):
            flow.fit(x, **QUICK, optimizer=STILL)
        assert all(np.isfinite(value).all() for value in flow.parameters.values())
        assert np.isfinite(flow.log_prob(x)).all()


def test_scales_are_above_the_minimum() -> None:
    x, _ = drawn()
    flow = started(x, cf.Mixture(4, minimum_scale=1.5))
    scale = np.exp(flow.parameters["base.log_scale"]) + 1.5
    plain = np.exp(started(x, cf.Mixture(4)).parameters["base.log_scale"])
    np.testing.assert_allclose(scale, np.maximum(plain, 1.5 + 1e-3 * plain), rtol=1e-9)


def test_a_context_adds_to_the_clusters() -> None:
    x, _ = drawn(1000)
    context = np.random.default_rng(1).normal(size=(len(x), 1))
    base = cf.Mixture(4, conditioner=cf.MLP((4,)), covariance_type="full")
    flow = cf.Flow([], 2, context_features=1, base=base, dtype="float64", seed=1)
    flow.fit(x, context, **QUICK, optimizer=STILL)
    np.testing.assert_allclose(flow.log_prob(x, context).mean(), truth(x).mean(), atol=0.1)
