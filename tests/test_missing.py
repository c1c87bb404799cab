"""Missing numbers: against the marginals and conditionals of normal distributions."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

import cflows as cf

RNG = np.random.default_rng(0)
FACTOR = np.array([[1.0, 0.0, 0.0], [0.8, 0.6, 0.0], [-0.5, 0.4, 0.3]])
COVARIANCE = FACTOR @ FACTOR.T
NAN = np.nan
QUIET: dict[str, Any] = {"progress": False, "seed": 0}


def normal_flow(dtype: str = "float64", order: str | None = None) -> cf.Flow:
    """Of that covariance, in units of the data: exp of the last column."""
    units = [cf.Affine([10.0, -3.0, 0.0], [2.0, 0.5, 1.0]), cf.OnFeatures([2], cf.Exp())]
    if order is None:
        flow = cf.Flow([cf.Triangular(), *units], 3, dtype=dtype)
        flow.parameters["layers.0.weight"][...] = FACTOR
        flow.parameters["layers.0.diagonal"][...] = np.log(np.diag(FACTOR))
        return flow
    layer = cf.Autoregressive(order, hidden=(), scale="exp")
    flow = cf.Flow([layer, *units], 3, dtype=dtype)
    for value in flow.parameters.values():
        value[...] = 0.3 * RNG.normal(size=value.shape)
    return flow


def to_units(z: np.ndarray) -> np.ndarray:
    return np.column_stack([10 + 2 * z[:, 0], -3 + 0.5 * z[:, 1], np.exp(z[:, 2])])


def with_gaps(x: np.ndarray, share: float = 0.4, seed: int = 1) -> np.ndarray:
    return np.where(np.random.default_rng(seed).uniform(size=x.shape) < share, NAN, x)


def marginals(x: np.ndarray) -> np.ndarray:
    """The exact log-density of what is there."""
    z = np.column_stack([(x[:, 0] - 10) / 2, (x[:, 1] + 3) / 0.5, np.log(x[:, 2])])
    units = np.where(np.isnan(x), 0.0, [np.log(2), np.log(0.5), 0.0])
    units[:, 2] = np.where(np.isnan(x[:, 2]), 0.0, np.log(x[:, 2]))
    result = -units.sum(axis=1)
    for i, row in enumerate(z):
        seen = ~np.isnan(row)
        if seen.any():
            part = COVARIANCE[np.ix_(seen, seen)]
            result[i] += stats.multivariate_normal(np.zeros(seen.sum()), part).logpdf(row[seen])
    return result


Z = RNG.normal(size=(400, 3)) @ FACTOR.T
GAPS = with_gaps(to_units(Z))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_marginal_is_that_of_the_normal_distribution(dtype: str) -> None:
    flow, exact = normal_flow(dtype), marginals(GAPS)
    found = flow.marginal_log_prob(GAPS, draws=2000, seed=1)
    complete = ~np.isnan(GAPS).any(axis=1)
    np.testing.assert_allclose(found[complete], exact[complete], rtol=2e-6)
    assert np.abs(found - exact).max() < 0.2
    assert abs((found - exact).mean()) < 0.005
    few = flow.marginal_log_prob(GAPS, draws=2, seed=1)
    assert (few - exact).mean() < -0.01  # a bound, which the draws close
    nothing = np.isnan(GAPS).all(axis=1)
    assert nothing.any() and (found[nothing] == 0.0).all()


@pytest.mark.parametrize("order", ["natural", "reverse"])
def test_it_is_exact_where_the_last_columns_of_the_order_are_missing(order: str) -> None:
    """Whatever the draws are: against the integral over the last column."""
    flow = normal_flow(order=order)
    x = to_units(Z[:6])
    last = 2 if order == "natural" else 0
    gap = x.copy()
    gap[:, last] = NAN
    found = flow.marginal_log_prob(gap, draws=1, seed=0)
    grid = np.exp(np.linspace(-25, 25, 20001)) if last == 2 else np.linspace(-90, 110, 20001)
    for row, value in zip(x, found, strict=True):
        points = np.repeat(row[None], len(grid), axis=0)
        points[:, last] = grid
        integral = np.trapezoid(np.exp(flow.log_prob(points)), grid)
        assert value == pytest.approx(np.log(integral), abs=1e-5)
    other = x.copy()
    other[:, 2 - last] = NAN
    assert (flow.marginal_log_prob(other, draws=1, seed=0)
            != flow.marginal_log_prob(other, draws=1, seed=1)).all()  # fmt: skip


def test_numbers_are_drawn_from_the_conditional() -> None:
    flow = normal_flow()
    x = np.repeat(to_units(np.array([[1.0, -0.5, 0.2]])), 4000, axis=0)
    x[:, 1] = NAN
    drawn = flow.impute(x, draws=50, seed=3)
    np.testing.assert_array_equal(drawn[:, [0, 2]], x[:, [0, 2]])
    seen = [0, 2]
    slopes = np.linalg.solve(COVARIANCE[np.ix_(seen, seen)], COVARIANCE[seen, 1])
    mean = slopes @ [1.0, 0.2]
    deviation = np.sqrt(COVARIANCE[1, 1] - slopes @ COVARIANCE[seen, 1])
    normal = stats.norm(-3 + 0.5 * mean, 0.5 * deviation)
    assert stats.kstest(drawn[:, 1], normal.cdf).pvalue > 1e-3


@pytest.mark.parametrize("order", ["natural", "reverse"])
def test_exact_draws_are_those_of_the_order(order: str) -> None:
    flow = normal_flow(order=order)
    x = np.repeat(to_units(Z[:1]), 2000, axis=0)
    last = 2 if order == "natural" else 0
    x[:, last] = NAN
    drawn = flow.impute(x, draws=1, seed=3)
    u, _ = flow.inverse(drawn)
    assert stats.kstest(u[:, last], "norm").pvalue > 1e-3
    assert np.ptp(np.delete(u, last, axis=1), axis=0).max() < 1e-9


def test_contexts_and_names() -> None:
    pandas = pytest.importorskip("pandas")
    flow = cf.Flow([cf.Elementwise(hidden=(8,))], 2, context_features=1, dtype="float64", seed=0)
    flow.columns, flow.context_columns = ("a", "b"), ("c",)
    x = pandas.DataFrame({"b": [0.5, NAN, 1.0], "a": [NAN, 1.0, 2.0], "other": ["u", "v", "w"]})
    context = pandas.DataFrame({"c": [1.0, 2.0, 3.0]})
    found = flow.marginal_log_prob(x, context, seed=0)
    assert found[2] == flow.log_prob([[2.0, 1.0]], [3.0])[0]
    alone = flow.marginal_log_prob([[NAN, 0.5]], [1.0])  # independent columns: exact
    assert found[0] == pytest.approx(alone[0], rel=1e-12)
    whole = flow.log_prob([[1.0, 0.5]], [1.0]) - flow.marginal_log_prob([[1.0, NAN]], [1.0])
    assert found[0] == pytest.approx(whole[0], rel=1e-9)
    assert flow.impute(x, context, seed=0).shape == (3, 2)
    unknown = np.array([[NAN], [2.0], [3.0]])
    np.testing.assert_array_equal(
        flow.marginal_log_prob([[NAN, 0.5], [1.0, NAN], [2.0, 1.0]], unknown), [NAN, *found[1:]]
    )
    assert np.isnan(flow.impute([[NAN, 0.5]] * 3, unknown, seed=0)).sum() == 1
    with pytest.raises(ValueError, match="context must have 3 rows, as x has, got 2"):
        flow.impute(x, context[:2])


def test_a_tables_context_is_found_by_name() -> None:
    pandas = pytest.importorskip("pandas")
    flow = cf.Flow([cf.Elementwise(hidden=(8,))], 2, context_features=2, dtype="float64", seed=0)
    flow.context_columns = ("c", "d")
    x = np.array([[NAN, 0.5], [1.0, NAN]])
    table = pandas.DataFrame({"d": [1.0, 2.0], "label": ["u", "v"], "c": [3.0, 4.0]})
    found = flow.marginal_log_prob(x, table, seed=0)
    expected = flow.marginal_log_prob(x, table[["c", "d"]].to_numpy(), seed=0)
    np.testing.assert_array_equal(found, expected)
    assert len(flow.marginal_log_prob(x[:0], table[:0])) == 0
    assert flow.impute(x[:0], table[:0]).shape == (0, 2)
    with pytest.raises(ValueError, match="context lacks the column c"):
        flow.impute(x, table[["d", "label"]])
    with pytest.raises(ValueError, match=r"context must have shape \(n, 2\) or \(2,\)"):
        flow.impute(x, np.zeros((2, 3)))
    with pytest.raises(ValueError, match="context"):
        flow.impute(x)


def crescent(n: int, seed: int) -> np.ndarray:
    z = np.random.default_rng(seed).normal(size=(n, 2))
    return np.column_stack([z[:, 0], z[:, 0] ** 2 + 0.5 * z[:, 1]])


def learned(x: np.ndarray, **options: Any) -> float:
    flow = cf.realnvp(2, 4, hidden=(32,), seed=0)
    flow.fit(x, epochs=60, optimizer=cf.Adam(3e-3), **QUIET, **options)
    return float(flow.log_prob(crescent(4000, 9)).mean())


def test_a_fit_learns_from_rows_with_gaps() -> None:
    """The second number is missing where the first is large: rows without gaps are another
    distribution. Truth: the entropy of the crescent."""
    x = crescent(3000, 5)
    truth = -np.log(2 * np.pi * np.e) - np.log(0.5)
    gone = (x[:, 0] > 0.5) & (np.random.default_rng(6).uniform(size=len(x)) < 0.8)
    gaps = x.copy()
    gaps[gone, 1] = NAN
    dropped, found = learned(x[~gone]), learned(gaps, missing="marginal")
    assert found > dropped + 0.1
    assert truth - 0.25 < found < truth + 0.05


def test_a_fit_with_gaps_resumes_bit_for_bit(tmp_path: Path) -> None:
    x = with_gaps(crescent(300, 3), 0.2)
    options: dict[str, Any] = {"missing": "marginal", "batch_size": 50, **QUIET}

    def new() -> cf.Flow:
        return cf.maf(2, 2, hidden=(8,), seed=0)

    whole, part = new(), new()
    whole.fit(x, epochs=8, **options)
    part.fit(x, epochs=3, checkpoint=tmp_path / "c", **options)
    again = new()
    again.fit(x, epochs=8, resume=tmp_path / "c", **options)
    for ours, theirs in zip(again.parameters.values(), whole.parameters.values(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(ValueError, match="is of a fit with missing="):
        new().fit(
            np.nan_to_num(x), epochs=8, resume=tmp_path / "c", **{**options, "missing": "error"}
        )


def test_rows_are_read_as_they_are() -> None:
    x = with_gaps(crescent(200, 3), 0.2)
    before = x.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cf.maf(2, 2, hidden=(8,), seed=0).fit(x, epochs=2, missing="marginal", **QUIET)
    np.testing.assert_array_equal(x, before)
    few = with_gaps(crescent(60, 3), 0.9)  # next to no row is complete
    history = cf.maf(2, 2, hidden=(8,), seed=0).fit(few, epochs=3, missing="marginal", **QUIET)
    assert np.isfinite(history.validation).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda f, x: f.fit(x, progress=False), "holds nan in column [01]; all must be finite; "
         "drop such rows, or learn from what is there with missing='marginal'"),
        (lambda f, x: f.fit(x, missing="mean"), "must be 'error' or 'marginal', got 'mean'"),
        (lambda f, x: f.fit(x, missing="marginal", missing_draws=0), "missing_draws must be"),
        (lambda f, x: f.marginal_log_prob(x[:, :1]), r"x must have shape \(n, 2\), got \(50, 1\)"),
        (lambda f, x: f.impute(x, draws=0), "draws must be"),
        (lambda f, x: cf.maf(2, columns=[cf.count, cf.real]).impute(x), "columns of integers"),
        (lambda f, x: cf.Flow([], shape=(1, 2, 2)).impute(x), "are for flows of vectors"),
    ],
)  # fmt: skip
def test_what_is_refused(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(cf.maf(2, 2, hidden=(8,), seed=0), with_gaps(crescent(50, 3)))


def test_angles_that_are_missing() -> None:
    """Of independent columns the marginal is the other's own; draws are of the conditional."""
    flow = cf.ncsf(2, 2, 16, columns=[cf.circular(360.0), cf.circular(24.0)], seed=0)
    found = flow.marginal_log_prob([[10.0, NAN], [NAN, 3.0]], draws=500, seed=0)
    np.testing.assert_allclose(found, [-np.log(360), -np.log(24)], atol=1e-5)
    rng = np.random.default_rng(0)
    for value in flow.parameters.values():
        value += 0.3 * rng.normal(size=value.shape)
    grid = np.linspace(0, 24, 2001)
    density = np.exp(flow.log_prob(np.column_stack([np.full(2001, 50.0), grid])))
    mass = np.trapezoid(density, grid)
    exact = np.log(mass)
    assert flow.marginal_log_prob([[50.0, NAN]], draws=20_000, seed=1)[0] == pytest.approx(
        exact, abs=0.03
    )
    drawn = flow.impute([[50.0, NAN]] * 1000, draws=2000, seed=2)[:, 1]
    mean = np.trapezoid(np.exp(2j * np.pi * grid / 24) * density, grid) / mass
    assert abs(np.exp(2j * np.pi * drawn / 24).mean() - mean) < 0.05


def test_few_rows_and_none_that_lacks_a_number() -> None:
    options: dict[str, Any] = {"missing": "marginal", "epochs": 1, **QUIET}
    x = np.random.default_rng(0).normal(size=(100, 3))
    cf.maf(3, 1, hidden=(8,), seed=0).fit(x, **options)
    cf.maf(3, 1, hidden=(8,), seed=0).fit(x, validation=x[:5], **options)
    with pytest.raises(ValueError, match=r"no row with a number|no number"):
        cf.maf(3, 1, hidden=(8,)).fit(np.full((50, 3), NAN), validation=None, **options)
