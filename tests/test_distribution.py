"""Distribution functions and quantiles of flows of one feature against SciPy, mpmath, quadrature
and samples."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

import cflows as cf
from cflows.families import Components, family_of

# To the ends of both tails; 1 - 1e-16 is the largest number below 1.
P = np.array([1e-300, 1e-100, 1e-16, 1e-3, 0.2, 0.5, 0.7, 0.999, 1 - 1e-10, 1 - 1e-16])
STANDARD = Components(*(np.array([[number]]) for number in (1.0, 0.0, 1.0)))

FAMILIES: dict[str, tuple[cf.Base, Any]] = {
    "normal": (cf.Normal(), stats.norm),
    "laplace": (cf.Laplace(), stats.laplace),
    "logistic": (cf.Logistic(), stats.logistic),
    "student-4": (cf.StudentT(4.0), stats.t(4)),
    "student-90": (cf.StudentT(90.0), stats.t(90)),
    "student-1e6": (cf.StudentT(1e6), stats.t(1e6)),
    "product": (cf.Product([cf.Laplace()], [0]), stats.laplace),
    "uniform": (cf.Uniform(), stats.uniform),
}


@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize("name", FAMILIES)
def test_families_are_scipys_in_both_tails(name: str, upper: bool) -> None:
    base, law = FAMILIES[name]
    family = family_of(base)
    u = family.point(STANDARD, P, np.array([upper]))[0]
    np.testing.assert_allclose(u, (law.isf if upper else law.ppf)(P), rtol=3e-13, atol=1e-12)
    wide = Components(*(np.repeat(a, len(u), axis=0) for a in STANDARD))
    found = family.probability(wide, u, np.full(len(u), upper))
    np.testing.assert_allclose(found, (law.sf if upper else law.cdf)(u), rtol=1e-12)


@pytest.mark.parametrize("df", [0.1, 1.0, 3.3, 500.0, 9e3, 2e4])
def test_student_t_is_the_incomplete_beta_function(df: float) -> None:
    z = np.array([1e-8, 0.1, 1.0, 2.0, 5.0, 30.0, 1e10])
    with mpmath.workdps(40):
        half = mpmath.mpf(1) / 2
        tails = [
            mpmath.betainc(df * half, half, 0, df / (df + mpmath.mpf(v) ** 2), True) / 2 for v in z
        ]
    exact = np.array([float(tail) for tail in tails])
    wide = Components(*(np.repeat(a, len(z), axis=0) for a in STANDARD))
    found = family_of(cf.StudentT(df)).probability(wide, z, np.ones(len(z), bool))
    np.testing.assert_allclose(found, exact, rtol=1e-12)
    some = (exact > 1e-300) & (z < 1e9)
    back = family_of(cf.StudentT(df)).point(STANDARD, exact[some], np.ones(1, bool))[0]
    np.testing.assert_allclose(back, z[some], rtol=1e-12, atol=1e-15)


def test_mixtures_are_sums_in_both_tails() -> None:
    rng = np.random.default_rng(0)
    weight, loc = rng.dirichlet(np.ones(4), 3), 4 * rng.normal(size=(3, 4))
    scale = np.exp(rng.normal(size=(3, 4)))
    base = Components(weight, loc, scale)
    u = family_of(cf.Mixture(4)).point(base, P, np.zeros(3, bool))
    z = (u[..., None] - loc[:, None]) / scale[:, None]
    lower = (weight[:, None] * stats.norm.cdf(z)).sum(-1)
    upper = (weight[:, None] * stats.norm.sf(z)).sum(-1)
    np.testing.assert_allclose(
        np.minimum(lower, upper), np.tile(np.minimum(P, 1 - P), (3, 1)), 1e-12
    )
    flow = cf.Flow([], features=1, base=cf.Mixture(4), dtype="float64", seed=0)
    flow.parameters["base.logits"][:] = np.log(weight[0])
    flow.parameters["base.loc"][:, 0] = loc[0]
    flow.parameters["base.log_scale"][:, 0] = np.log(scale[0])
    np.testing.assert_allclose(flow.quantile(P), u[0], rtol=1e-12)
    np.testing.assert_allclose(flow.cdf(u[0]), lower[0], rtol=1e-12)


def disturbed(flow: cf.Flow, size: float = 0.3) -> cf.Flow:
    """With weights as if it had learned something."""
    rng = np.random.default_rng(1)
    for values in flow.parameters.values():
        values += size * rng.normal(size=values.shape)
    return flow


BASES: dict[str, Any] = {
    "normal": cf.Normal(loc=0.5, scale=2.0),
    "learned": cf.Logistic(learned=True),
    "conditional": cf.StudentT(3.0, conditioner=cf.MLP((8,))),
    "mixture": cf.Mixture(3, conditioner=cf.MLP((8,))),
    "full": cf.FullNormal(loc=1.0, covariance=[4.0]),
    "uniform": cf.Uniform(-1.0, 2.0),
}


@pytest.mark.parametrize("falling", [False, True])
@pytest.mark.parametrize("name", BASES)
def test_flows_are_integrals_of_their_density(name: str, falling: bool) -> None:
    layers = [cf.Elementwise("affine"), cf.Affine(shift=1.0, scale=-0.5 if falling else 0.5)]
    net = cf.Autoregressive(transform=cf.Spline(bins=4), hidden=(8,))
    flow = disturbed(
        cf.Flow([net, *layers], 1, context_features=2, base=BASES[name], dtype="float64", seed=0)
    )
    contexts = np.array([[0.0, 1.0], [2.0, -1.0]])
    p = np.array([0.05, 0.4, 0.9])
    x = flow.quantile(p, contexts)
    assert x.shape == (2, 3) and x.dtype == np.float64
    for i, context in enumerate(contexts):
        np.testing.assert_allclose(flow.cdf(x[i], context), p, rtol=1e-12)

        def density(t: float, context: Any = context) -> float:
            return float(np.exp(flow.log_prob([[t]], context)[0]))

        for low, high, mass in ((x[i, 0], x[i, 1], 0.35), (x[i, 1], x[i, 2], 0.5)):
            area = integrate.quad(density, low, high, epsabs=1e-8, limit=200)[0]
            np.testing.assert_allclose(area, mass, atol=1e-5)  # the spline's derivatives jump


@pytest.mark.parametrize("column", [cf.positive, cf.interval(2, 5), cf.count, cf.ordinal(4)])
def test_columns_are_distributed_as_samples(column: cf.Column) -> None:
    flow = disturbed(cf.maf(1, layers=1, hidden=(8,), columns=[column], seed=0))
    x = flow.sample(40_000, seed=1)[:, 0].astype(np.float64)
    at = np.quantile(x, [0.1, 0.3, 0.5, 0.8])
    shares = (x[:, None] <= at).mean(axis=0)
    np.testing.assert_allclose(flow.cdf(at), shares, atol=4 * 0.5 / 200)
    p = np.array([0.1, 0.5, 0.9])
    quantiles = flow.quantile(p)
    assert ((x[:, None] <= quantiles).mean(axis=0) >= p - 0.01).all()
    assert ((x[:, None] < quantiles).mean(axis=0) <= p + 0.01).all()
    whole = column.kind in ("count", "ordinal")
    assert (quantiles == np.floor(quantiles)).all() == whole
    assert flow.cdf([-1.0, -np.inf]).tolist() == [0.0, 0.0] and flow.cdf([np.inf])[0] == 1.0
    if column.kind in ("interval", "ordinal"):
        assert flow.cdf([1.9, 7.0])[1] == 1.0
    if column.kind == "interval":
        assert flow.cdf([1.9])[0] == 0.0


def test_levels_of_an_ordinal_add_up() -> None:
    """By the samples of another seed, the probabilities of the four levels."""
    flow = disturbed(cf.maf(1, layers=1, hidden=(8,), columns=[cf.ordinal(4)], seed=0))
    x = flow.sample(40_000, seed=2)[:, 0]
    shares = [(x == level).mean() for level in range(4)]
    np.testing.assert_allclose(np.diff(flow.cdf([-1, 0, 1, 2, 3])), shares, atol=0.01)
    assert flow.cdf([3])[0] == 1.0


def test_contexts_may_turn_the_direction() -> None:
    """x = c u falls where c is negative; x is then the same, and so are its tails."""
    turn = cf.nn.layer(
        1,
        lambda u, p, c: (u * c, cf.nn.log(cf.nn.abs(c))),
        lambda x, p, c: (x / c, -cf.nn.log(cf.nn.abs(c))),
        context_features=1,
    )
    flow = cf.Flow(
        [turn], 1, context_features=1, standardize_context=False, dtype="float64", seed=0
    )
    contexts = np.array([[2.0], [-2.0], [0.5]])
    scale = np.abs(contexts)
    np.testing.assert_allclose(flow.quantile(P, contexts), stats.norm.ppf(P, scale=scale), 1e-12)
    at = np.array([-30.0, -30.0, 5.0])
    np.testing.assert_allclose(flow.cdf(at, contexts), stats.norm.cdf(at, scale=scale[:, 0]), 1e-12)


def test_time_stamps_keep_their_digits() -> None:
    rng = np.random.default_rng(0)
    stamps = 1.126e9 + 0.05 * rng.normal(size=(2000, 1))
    flow = cf.nsf(1, layers=1, hidden=8, seed=0)  # float32
    flow.fit(stamps, epochs=1, seed=0, progress=False)
    p = np.array([0.05, 0.5, 0.95])
    x = flow.quantile(p)
    samples = flow.sample(40_000, seed=0)[:, 0]
    np.testing.assert_allclose((samples[:, None] <= x).mean(axis=0), p, atol=0.01)
    np.testing.assert_allclose(flow.cdf(x), p, atol=1e-5)
    np.testing.assert_allclose(np.ptp(x), 2 * 1.645 * 0.05, rtol=0.2)


def test_shapes_of_numbers_contexts_and_tables() -> None:
    flow = disturbed(cf.maf(1, layers=1, hidden=(8,), context_features=2, seed=0))
    flow.context_columns = ["a", "b"]
    contexts = np.random.default_rng(0).normal(size=(5, 2))
    table = pd.DataFrame({"other": "text", "b": contexts[:, 1], "a": contexts[:, 0]})
    q = flow.quantile([0.1, 0.5, 0.9], contexts)
    assert q.shape == (5, 3)
    np.testing.assert_array_equal(flow.quantile([0.1, 0.5, 0.9], table), q)
    np.testing.assert_array_equal(flow.quantile(0.5, contexts), q[:, 1])
    np.testing.assert_allclose(flow.quantile([0.1, 0.9], contexts[2]), q[2, [0, 2]], rtol=1e-6)
    assert (
        flow.quantile(0.5, contexts[:1]).shape == (1,)
        and flow.quantile(0.5, contexts[0]).shape == ()
    )
    np.testing.assert_allclose(flow.cdf(q[:, 0], contexts), 0.1, rtol=1e-4)
    np.testing.assert_allclose(flow.cdf(q[:, :1], table), 0.1, rtol=1e-4)
    np.testing.assert_allclose(flow.cdf(q[1], contexts[1]), [0.1, 0.5, 0.9], rtol=1e-4)
    assert flow.cdf(0.3, contexts).shape == (5,)
    assert flow.quantile([], contexts).shape == (5, 0) and flow.cdf([], contexts[0]).shape == (0,)
    assert np.isnan(flow.cdf([np.nan, 0.0], contexts[0])).tolist() == [True, False]
    holed = contexts.copy()
    holed[3] = np.nan
    assert np.isnan(flow.quantile(0.5, holed)).tolist() == [False] * 3 + [True, False]
    assert np.isnan(flow.cdf(0.3, holed)).tolist() == [False] * 3 + [True, False]


REFUSED: dict[str, tuple[Any, str]] = {
    "two features": (
        lambda: cf.nsf(2, layers=1, hidden=4),
        r"one feature, got samples of shape \(2,\)",
    ),
    "angles": (lambda: cf.ncsf(1, layers=1, hidden=4), "angles have none"),
    "a turn": (lambda: cf.Flow([cf.CircularShift(0.3)], 1, base=cf.Uniform()), "angles have none"),
    "inner noise": (lambda: cf.Flow([cf.Dequantize(4), cf.Affine(1.0, 2.0)], 1), "stochastic"),
    "no order": (
        lambda: cf.Flow(
            [
                cf.nn.layer(
                    1, lambda u, p: (1 / u, -2 * cf.nn.log(cf.nn.abs(u))), lambda x, p: (1 / x, x)
                )
            ],
            features=1,
        ),
        "not monotone",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_flows_without_a_distribution_function_are_refused(name: str) -> None:
    make, message = REFUSED[name]
    flow = make()
    with pytest.raises(ValueError, match=message):
        flow.cdf([0.5])
    with pytest.raises(ValueError, match=message):
        flow.quantile([0.5])


def test_wrong_arguments_are_refused() -> None:
    flow = cf.maf(1, layers=1, hidden=(8,), context_features=2, seed=0)
    for p in ([0.0], [1.0], [np.nan], -0.1):
        with pytest.raises(ValueError, match="above 0 and below 1"):
            flow.quantile(p, [0.0, 0.0])
    with pytest.raises(ValueError, match=r"p must have shape"):
        flow.quantile([[0.5]], [0.0, 0.0])
    with pytest.raises(ValueError, match=r"x must have shape"):
        flow.cdf([[0.5, 0.5]], [0.0, 0.0])
    for call in (flow.cdf, flow.quantile):
        with pytest.raises(ValueError, match="needs context"):
            call([0.5])
    heavy = cf.Flow([], features=1, base=cf.StudentT(0.1), seed=0)
    with pytest.raises(cf.NumericalError, match="beyond the numbers of float32"):
        heavy.quantile(1e-9)
    narrow = cf.Flow([], features=1, base=cf.Normal(loc=1e9, scale=0.05))
    with pytest.raises(cf.NumericalError, match="float32"):
        narrow.quantile(0.5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("features", [1, 2])
def test_a_grid_has_every_point_with_every_context(features, dtype, monkeypatch):
    monkeypatch.setattr("cflows.distribution._POINTS_AT_ONCE", 20)
    flow = cf.Flow(
        [cf.Coupling(hidden=(8,)), cf.Affine(scale=0.5)], features, 2,
        base=cf.Normal(conditioner=cf.MLP((4,))), dtype=dtype, seed=0,
    )  # fmt: skip
    rng = np.random.default_rng(0)
    for value in flow.parameters.values():
        value[...] = 0.5 * rng.normal(size=value.shape)
    x, context = rng.normal(size=(7, features)), rng.normal(size=(9, 2))
    expected = np.stack([flow.log_prob(x, row) for row in context])
    given = x[:, 0] if features == 1 else x
    found = flow.log_prob_grid(given, context)
    assert found.dtype == dtype and found.shape == (9, 7)
    np.testing.assert_allclose(found, expected, rtol=1e-5 if dtype == "float32" else 1e-12)
    assert flow.log_prob_grid(x[:0], context).shape == (9, 0)
    assert flow.log_prob_grid(x, context[:0]).shape == (0, 7)
    for wrong in ((x[:, :0], context), (x, context[0]), (x, context[:, :1])):
        with pytest.raises(ValueError, match="must have shape"):
            flow.log_prob_grid(*wrong)
    with pytest.raises(ValueError, match="is for flows with a context"):
        cf.Flow([], features).log_prob_grid(x, context)


def test_a_grid_of_tables():
    pandas = pytest.importorskip("pandas")
    flow = cf.maf(1, 1, hidden=(4,), context_columns=[cf.real, cf.categorical(["u", "v"])], seed=0)
    flow.context_columns = ("a", "kind")
    table = pandas.DataFrame({"kind": ["u", "v", "v"], "a": [0.5, 1.0, 2.0]})
    found = flow.log_prob_grid(np.linspace(-1, 1, 5), table)
    expected = flow.log_prob(np.full((3, 1), -1.0), table)
    np.testing.assert_array_equal(found[:, 0], expected)
