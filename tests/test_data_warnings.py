"""What `fit` says of data that have no density, or hardly one."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import cflows as cf

RNG = np.random.default_rng(0)
CLEAN = RNG.normal(size=(3000, 4)) @ RNG.normal(size=(4, 4))


class Table:
    """As much of a table with names as `fit` looks at."""

    def __init__(self, x: np.ndarray, columns: list[str]) -> None:
        self.x, self.columns = x, columns

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.x


def said(x: Any, recipe: Any = cf.maf, features: int = 4, **options: Any) -> list[str]:
    of_recipe = ("columns", "hidden", "standardize")
    made = {name: options.pop(name) for name in of_recipe if name in options}
    flow = recipe(features, 1, **{"hidden": (8,), **made}, seed=0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        flow.fit(x, epochs=1, seed=0, progress=False, **options)
    assert all(w.category is cf.DataWarning and w.filename == __file__ for w in caught)
    return [str(w.message) for w in caught]


def with_column(i: int, values: Any) -> np.ndarray:
    x = CLEAN.copy()
    x[:, i] = values
    return x


def outliers() -> np.ndarray:
    x = CLEAN.copy()
    x[:5, 2] = 1e6
    return x


CASES: dict[str, tuple[np.ndarray, str]] = {
    "constant": (
        with_column(1, 7.0),
        "column 1: one value in all rows, which has no density: drop it",
    ),
    "an index": (
        with_column(0, np.arange(3000)),
        "column 0: whole numbers, whose density is unbounded: give fit(jitter=…) their spacing, or "
        "make the flow with columns=[…, count or ordinal(levels), …]",
    ),
    "zeros": (
        with_column(3, np.where(RNG.random(3000) < 0.1, 0.0, CLEAN[:, 3])),
        "column 3: one value in many rows, such as one that stands for a missing number, has no "
        "density: drop these rows, or give fit(jitter=…) a width",
    ),
    "outliers": (
        outliers(),
        "column 2: numbers far from all others set the scale: drop them if they are errors, make "
        "the flow with standardize='robust', or take logarithms (cflows.positive)",
    ),
    "nearly equal": (
        CLEAN[:, :1] + 1e-3 * RNG.normal(size=(3000, 4)),
        "columns 0, 1, 2, 3: one is nearly a linear function of the others, so that the density is "
        "nearly unbounded: drop it, give the difference instead, or make the flow with "
        "standardize='whiten'",
    ),
}


@pytest.mark.parametrize(
    ("name", "standardize"), [("outliers", "robust"), ("nearly equal", "whiten")]
)
def test_a_flow_made_for_it_says_nothing(name: str, standardize: str) -> None:
    assert said(CASES[name][0], standardize=standardize) == []


@pytest.mark.parametrize(
    "values",
    [1e50 * CLEAN[:, 1], 1.7e18 + np.round(3e12 * CLEAN[:, 1]), 2.0**31 * CLEAN[:, 1] // 1],
)
def test_large_floats_are_no_integers(values: np.ndarray) -> None:
    assert said(with_column(1, values)) == []


def test_a_context_with_sentinels() -> None:
    magnitudes = 24 + RNG.normal(size=(3000, 3))
    magnitudes[::30, 1] = 99.0
    flow = cf.maf(4, 1, hidden=(8,), context_features=3, seed=0)
    with pytest.warns(cf.DataWarning) as caught:
        flow.fit(CLEAN, Table(magnitudes, ["u", "g", "r"]), epochs=1, progress=False)
    assert [str(w.message) for w in caught] == [
        "context column g: numbers far from all others set the scale: where they stand for missing "
        "ones, put an ordinary number in their place, and a further column of 0 and 1 that says so"
    ]
    assert caught[0].filename == __file__
    raw = cf.maf(4, 1, hidden=(8,), context_features=3, standardize_context=False, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        raw.fit(CLEAN, magnitudes, epochs=1, progress=False)
        cf.maf(4, 1, hidden=(8,), context_features=3, seed=0).fit(CLEAN, [1.0, 2.0, 3.0], epochs=1)


def test_few_rows_without_any_held_out() -> None:
    hidden = (32, 32)
    flow = cf.maf(4, 1, hidden)
    weights = sum(flow.parameters[name].size for name in set(flow.parameters) - set(flow.frozen))
    few = -(-weights // 40)  # rows of 4 numbers: a tenth of the weights
    assert said(CLEAN[:few], hidden=hidden, validation=None) == []
    assert said(CLEAN[: few - 1], hidden=hidden) == []
    (message,) = said(CLEAN[: few - 1], hidden=hidden, validation=None)
    assert message == (
        f"{few - 1} rows for {weights:,} weights, and none held out: the flow may learn the rows "
        "by heart; leave validation at 0.1, or take fewer layers or narrower ones"
    )


@pytest.mark.parametrize("recipe", [cf.maf, cf.realnvp, cf.nsf])
@pytest.mark.parametrize("name", CASES)
def test_each_kind_is_told_once_with_its_columns(name: str, recipe: Any) -> None:
    x, message = CASES[name]
    assert said(x, recipe) == [message]


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e12])
def test_nothing_is_said_of_ordinary_data(scale: float) -> None:
    assert said(CLEAN * scale) == []
    assert said(CLEAN * scale + 1e3 * scale, weights=np.arange(3000) % 3) == []
    assert said(CLEAN[:300] * scale) == []


def test_several_kinds_and_many_columns() -> None:
    x = np.concatenate([CLEAN, np.ones((3000, 10))], axis=1)
    x[:, 0] = -99.0
    x[::2, 0] = CLEAN[::2, 0]
    sentinel, *rest = said(x, features=14)[1:]
    assert sentinel.startswith("column 0: one value in many rows")
    assert said(x, features=14)[0].startswith("columns 4, 5, 6, 7, 8, 9, 10, 11, …: one value in")
    assert rest == [] or rest[0].startswith("column 0: numbers far")


def test_columns_have_their_names() -> None:
    x, message = CASES["constant"]
    (told,) = said(Table(x, ["a", "redshift", "c", "d"]))
    assert told == message.replace("column 1", "column redshift")


def test_what_has_been_decided_is_not_asked_again() -> None:
    counts = RNG.poisson(20, size=(2000, 1)).astype(float)
    assert said(counts, cf.nsf, features=1)
    assert said(counts, cf.nsf, features=1, jitter=1.0) == []
    assert said(counts, cf.nsf, features=1, columns=[cf.count]) == []
    equal = np.repeat(counts, 2, axis=1)
    assert said(equal, features=2, jitter=1.0) == []
    skewed = np.exp(3 * RNG.normal(size=(2000, 1)))
    assert "numbers far from all others" in said(skewed, cf.nsf, features=1)[0]
    assert said(skewed, cf.nsf, features=1, columns=[cf.positive]) == []
    angles = 0.1 * RNG.normal(size=(2000, 1)) + RNG.integers(0, 1000, size=(2000, 1))
    assert said(angles, cf.nsf, features=1, columns=[cf.circular(1.0)]) == []


@pytest.mark.parametrize("recipe", [cf.realnvp, cf.nice, cf.glow1d, cf.maf, cf.iaf])
def test_one_column_needs_more_than_lines(recipe: Any) -> None:
    """Whatever these learn of one column is a line of the base, as a probability plot shows."""
    two_peaks = np.concatenate([CLEAN[:500, :1] - 9.0, CLEAN[:500, :1] + 9.0])
    (message,) = said(two_peaks, recipe, features=1)
    assert message.endswith("learns a normal distribution: take nsf or nsf_ar, whose splines bend")
    assert said(two_peaks, cf.nsf, features=1) == said(two_peaks, cf.nsf_ar, features=1) == []
    flow = recipe(1, seed=0, base=cf.StudentT(3.0))
    u = np.linspace(-2.0, 2.0, 9)[:, None]
    np.testing.assert_allclose(np.diff(flow.forward(u)[0][:, 0], 2), 0.0, atol=1e-5)


def test_rows_of_weight_zero_are_not_looked_at() -> None:
    x, weights = CLEAN.copy(), np.ones(3000)
    x[:10], weights[:10] = 1e9, 0.0
    assert said(x, weights=weights) == []
    x[:10] = np.nan
    assert said(x, weights=weights) == []
