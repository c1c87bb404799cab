"""Base distributions against SciPy: densities, samples, gradients, awkward inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import integrate, special, stats

import cflows as cf

LOC, SCALE = [1.0, -2.0, 0.5], [0.5, 2.0, 1.3]
N = 100_000

FAMILIES: dict[str, tuple[Callable[..., Any], Any]] = {
    "normal": (cf.Normal, stats.norm),
    "laplace": (cf.Laplace, stats.laplace),
    "logistic": (cf.Logistic, stats.logistic),
    "student-1": (lambda **o: cf.StudentT(1.0, **o), stats.t(1)),
    "student-0.7": (lambda **o: cf.StudentT(0.7, **o), stats.t(0.7)),
    "student-30": (lambda **o: cf.StudentT(30.0, **o), stats.t(30)),
    "student-50": (lambda **o: cf.StudentT(50.0, **o), stats.t(50)),
}


def flow_of(base: Any, features: int = 3, **options: Any) -> cf.Flow:
    return cf.Flow([], features=features, base=base, **{"dtype": "float64", "seed": 0, **options})


def frozen(family: Any, loc: Any, scale: Any) -> Any:
    return (
        family(loc, scale) if not hasattr(family, "args") else family.dist(*family.args, loc, scale)
    )


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("name", FAMILIES)
def test_densities_are_scipys(name: str, learned: bool) -> None:
    make, family = FAMILIES[name]
    flow = flow_of(make(loc=LOC, scale=SCALE, learned=learned))
    x = np.random.default_rng(0).standard_t(2, size=(200, 3)) * 5
    x[0] = [1e8, -1e8, 1e5]
    if name == "laplace":  # SciPy's is the logarithm of a density that underflows
        expected = (-np.abs(x - LOC) / SCALE - np.log(2 * np.array(SCALE))).sum(1)
        near = frozen(family, LOC, SCALE).logpdf(x[1:]).sum(1)
        np.testing.assert_allclose(expected[1:], near, rtol=1e-12)
    else:
        expected = frozen(family, LOC, SCALE).logpdf(x).sum(1)
    np.testing.assert_allclose(flow.log_prob(x), expected, rtol=1e-12)
    narrow = flow_of(make(loc=LOC, scale=SCALE, learned=learned), dtype="float32")
    np.testing.assert_allclose(narrow.log_prob(x), expected, rtol=2e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FAMILIES)
def test_samples_are_distributed_so(name: str, dtype: str) -> None:
    make, family = FAMILIES[name]
    x = flow_of(make(loc=LOC, scale=SCALE), dtype=dtype).sample(N, seed=3).astype(np.float64)
    for f in range(3):
        law = frozen(family, LOC[f], SCALE[f])
        assert stats.kstest(x[:, f], law.cdf).pvalue > 1e-3
    ranks = np.argsort(np.argsort(x, axis=0), axis=0)
    correlation = np.corrcoef(ranks.T)[np.triu_indices(3, 1)]
    assert np.abs(correlation).max() < 5 / np.sqrt(N)


@pytest.mark.parametrize("name", ["laplace", "logistic", "student-1"])
def test_tails_of_samples_go_far(name: str) -> None:
    """The extremes of a million samples are those of the distribution: nothing is cut off."""
    make, family = FAMILIES[name]
    x = flow_of(make(), features=1, dtype="float32").sample(1_000_000, seed=1)[:, 0]
    assert np.isfinite(x).all()
    largest = frozen(family, 0.0, 1.0).sf(x.max()) * len(x)
    assert 1e-3 < largest < 10


@pytest.mark.parametrize("df", [1e8, 1e10, 1e15])
def test_student_t_of_many_degrees_of_freedom_is_the_normal(df: float) -> None:
    x = np.random.default_rng(0).normal(size=(100, 3))
    expected = stats.norm.logpdf(x).sum(1)  # within x^4 / df
    np.testing.assert_allclose(flow_of(cf.StudentT(df)).log_prob(x), expected, rtol=0, atol=1e-6)
    if df >= 1e10:
        found = flow_of(cf.StudentT(df)).log_prob(x)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8)


def test_a_covariance_may_be_rounded() -> None:
    flow_of(cf.FullNormal(covariance=[1, 3e-17, 2e-17, 1]), features=2)


def test_a_covariance_is_a_matrix_or_its_rows_in_a_row() -> None:
    matrix = np.array([[4.0, 1.0], [1.0, 2.0]])
    flat = cf.FullNormal(covariance=matrix.ravel())
    assert flat.covariance == (4.0, 1.0, 1.0, 2.0)
    for given in (matrix, matrix.T, matrix.tolist(), [(4, 1), (1, 2)]):
        assert cf.FullNormal(covariance=given) == flat
    strange = (matrix[None], [["a"]], 4.0, [[]], [[], []], [[4.0, 1.0, 1.0, 2.0]], matrix[:, :1])
    for wrong in ([[4.0, 1.0], [1.0]], [[4.0], 1.0], [4.0, [1.0]], *strange):
        with pytest.raises(TypeError, match="covariance expects sequence of float or matrix"):
            cf.FullNormal(covariance=wrong)


def test_full_normal_is_scipys() -> None:
    rng = np.random.default_rng(1)
    a = rng.normal(size=(3, 3))
    covariance = a @ a.T + 0.1 * np.eye(3)
    for learned in (False, True):
        flow = flow_of(cf.FullNormal(LOC, covariance, learned))
        x = rng.normal(size=(50, 3)) * 3
        truth = stats.multivariate_normal(LOC, covariance)
        np.testing.assert_allclose(flow.log_prob(x), truth.logpdf(x), rtol=1e-11)
        samples = flow.sample(N, seed=0)
        np.testing.assert_allclose(samples.mean(0), LOC, atol=0.05)
        np.testing.assert_allclose(np.cov(samples.T), covariance, atol=0.05)
        assert bool(flow.frozen) is not learned
    flow.fit(x, epochs=2, progress=False)


def set_mixture(flow: cf.Flow, rng: np.random.Generator) -> tuple[Any, ...]:
    p = flow.parameters
    for name in ("logits", "loc", "log_scale"):
        p[f"base.{name}"][...] = rng.normal(size=p[f"base.{name}"].shape)
    weights = np.exp(p["base.logits"]) / np.exp(p["base.logits"]).sum()
    return weights, p["base.loc"].astype(float), np.exp(p["base.log_scale"].astype(float))


@pytest.mark.parametrize("components", [1, 2, 5])
def test_mixture_densities_and_samples(components: int) -> None:
    rng = np.random.default_rng(components)
    flow = flow_of(cf.Mixture(components), features=2)
    weights, loc, scale = set_mixture(flow, rng)
    x = rng.normal(size=(100, 2)) * 4
    terms = stats.norm(loc, scale).logpdf(x[:, None, :]).sum(2)
    expected = special.logsumexp(terms, axis=1, b=weights)
    np.testing.assert_allclose(flow.log_prob(x), expected, rtol=1e-11)
    far = flow.log_prob(np.full((1, 2), 1e6))
    assert np.isfinite(far).all() and far[0] < -1e6
    samples = flow.sample(N, seed=2)
    for f in range(2):

        def cdf(t: np.ndarray, f: int = f) -> np.ndarray:
            return stats.norm(loc[:, f], scale[:, f]).cdf(t[:, None]) @ weights

        assert stats.kstest(samples[:, f], cdf).pvalue > 1e-3


def test_mixture_components_start_apart() -> None:
    loc = flow_of(cf.Mixture(4)).parameters["base.loc"]
    assert len(np.unique(loc)) == loc.size and np.abs(loc).max() <= 2.0


def test_uniform_on_a_box() -> None:
    low, high = [0.0, -1.0, 2.0], [1.0, 3.0, 2.5]
    for dtype in ("float32", "float64"):
        flow = flow_of(cf.Uniform(low, high), dtype=dtype)
        inside = -np.log(1.0 * 4.0 * 0.5)
        x = np.array([[0.5, 0.0, 2.25], low, high, [0.5, 0.0, 2.6], [-0.1, 0.0, 2.1]])
        expected = [inside, inside, inside, -np.inf, -np.inf]
        np.testing.assert_allclose(flow.log_prob(x), expected, rtol=1e-6)
        odd = flow.log_prob([[np.nan, 0, 2.1], [np.inf, 0, 2.1], [0.5, -np.inf, 2.1]])
        assert np.isnan(odd[0]) and (odd[1:] == -np.inf).all()
        samples = flow.sample(N, seed=0).astype(float)
        assert (samples >= low).all() and (samples <= high).all()
        for f in range(3):
            law = stats.uniform(low[f], high[f] - low[f])
            assert stats.kstest(samples[:, f], law.cdf).pvalue > 1e-3
        np.testing.assert_array_equal(flow.grad_log_prob(x[:3]), 0.0)


def test_a_product_is_the_product() -> None:
    which = [1, 0, 2, 1]
    base = cf.Product([cf.Laplace(scale=2.0), cf.Uniform(-1.0, 3.0), cf.StudentT(3.0)], which)
    flow = flow_of(base, features=4)
    laws = [stats.laplace(0, 2), stats.uniform(-1, 4), stats.t(3)]
    x = np.random.default_rng(0).uniform(-1, 3, size=(40, 4))
    expected = sum(laws[k].logpdf(x[:, f]) for f, k in enumerate(which))
    np.testing.assert_allclose(flow.log_prob(x), expected, rtol=1e-12)
    samples = flow.sample(N, seed=0)
    for f, k in enumerate(which):
        assert stats.kstest(samples[:, f], laws[k].cdf).pvalue > 1e-3
    ranks = np.argsort(np.argsort(samples, axis=0), axis=0)
    correlation = np.corrcoef(ranks.T)[np.triu_indices(4, 1)]
    assert np.abs(correlation).max() < 5 / np.sqrt(N)


CONDITIONAL: dict[str, Callable[[Any], Any]] = {
    "normal": lambda net: cf.Normal(conditioner=net),
    "laplace": lambda net: cf.Laplace(conditioner=net),
    "logistic": lambda net: cf.Logistic(conditioner=net),
    "student": lambda net: cf.StudentT(4.0, conditioner=net),
    "mixture": lambda net: cf.Mixture(3, conditioner=net),
}


@pytest.mark.parametrize("name", CONDITIONAL)
def test_conditional_bases_integrate_to_one_and_follow_their_context(name: str) -> None:
    net = cf.MLP((8,), activation="tanh")
    flow = flow_of(CONDITIONAL[name](net), features=1, context_features=2)
    rng = np.random.default_rng(3)
    for value in flow.parameters.values():
        value += 0.5 * rng.normal(size=value.shape)
    for context in ([0.3, -1.0], [2.0, 0.5]):
        # Tails beyond 1e5 hold less than 1e-14 of a Student-t with 4 degrees of freedom.
        t = np.sinh(np.linspace(-12.0, 12.0, 200_001))
        density = np.exp(flow.log_prob(t[:, None], context=context))
        cumulative = integrate.cumulative_simpson(density, x=t, initial=0.0)
        assert cumulative[-1] == pytest.approx(1.0, abs=1e-6)
        samples = flow.sample(20_000, context=context, seed=1)[:, 0]
        assert stats.kstest(samples, lambda s, t=t, c=cumulative: np.interp(s, t, c)).pvalue > 1e-3
    a, b = flow.log_prob([[0.0]], context=[0, 0]), flow.log_prob([[0.0]], context=[1, 1])
    assert abs(a - b)[0] > 1e-3


@pytest.mark.parametrize("name", ["laplace", "logistic", "student-1", "student-30"])
def test_bases_learn_their_parameters(name: str) -> None:
    make, family = FAMILIES[name]
    x = frozen(family, 3.0, 2.0).rvs(size=(20_000, 1), random_state=0)
    flow = flow_of(make(learned=True), features=1)
    flow.fit(
        x,
        validation=None,
        epochs=20,
        batch_size=500,
        optimizer=cf.Adam(2e-2),
        seed=0,
        progress=False,
    )
    assert flow.parameters["base.loc"][0] == pytest.approx(3.0, abs=0.1)
    assert np.exp(flow.parameters["base.log_scale"][0]) == pytest.approx(2.0, rel=0.05)


@pytest.mark.parametrize(
    ("base", "message"),
    [
        (lambda: cf.Laplace(scale=0.0), "Laplace: scale must be positive, got 0"),
        (lambda: cf.StudentT(0.0), "StudentT: df must be positive, got 0"),
        (lambda: cf.Logistic(learned=True, conditioner=cf.MLP()), "with a conditioner there is no"),
        (lambda: cf.Mixture(0), "components must be from 1 to 65536, got 0"),
        (lambda: cf.Product([], [0]), "from 1 to 64 bases, got 0"),
        (lambda: cf.Product([cf.Normal()], [1]), "must number the 1 bases from 0, got 1 at 0"),
        (lambda: flow_of(cf.Laplace(loc=[1.0, 2.0])), "loc has 2 numbers, the flow has 3"),
        (lambda: flow_of(cf.Uniform(1.0, 1.0)), "low must be below high, and both finite"),
        (lambda: flow_of(cf.Uniform([0.0, 0.0])), "low has 2 numbers and high 1, the flow has 3"),
        (lambda: flow_of(cf.FullNormal(covariance=[1.0])), "1 numbers, 3 features need 9"),
        (
            lambda: flow_of(cf.FullNormal(covariance=[1, 2, 2, 1.0]), features=2),
            "must be positive definite",
        ),
        (
            lambda: flow_of(cf.FullNormal(covariance=[1, 0.5, 0.2, 1.0]), features=2),
            "must be symmetric, got 0.5 and 0.2",
        ),
        (lambda: flow_of(cf.Normal(conditioner=cf.MLP())), "and the flow has none"),
        (lambda: flow_of(cf.Mixture(conditioner=cf.MLP())), "and the flow has none"),
        (lambda: flow_of(cf.Product([cf.Normal()], [0])), "which has 1 numbers, the flow has 3"),
        (
            lambda: flow_of(cf.Product([cf.Normal(), cf.Laplace()], [0, 0, 0])),
            "base 1 has no feature",
        ),
    ],
)
def test_what_is_wrong_is_told(base: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        base()
