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
        "context column g: numbers far from all others set the scale: take logarithms or, where "
        "they stand for missing ones, put an ordinary number in their place, and a further column "
        "of 0 and 1 that says so"
    ]
    assert caught[0].filename == __file__
    raw = cf.maf(4, 1, hidden=(8,), context_features=3, standardize_context=False, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        raw.fit(CLEAN, magnitudes - 24.0, epochs=1, progress=False)
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
    for bends in (cf.naf, cf.bnaf, cf.planar, cf.sylvester, cf.gaussianization):
        assert said(two_peaks, bends, features=1) == []
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


# -- units that are not those of the flow -- #

AGAIN = "far from the numbers whose units an earlier fit has set, and which the flow keeps: fit(…, "
RAW = "far from 0 or of a scale far from 1, and nothing standardises"


def refitted(flow: cf.Flow, x: Any, context: Any = None, **options: Any) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        flow.fit(x, context, epochs=1, seed=0, progress=False, **options)
    return [str(w.message) for w in caught]


@pytest.mark.parametrize("change", [lambda x: 1000 * x, lambda x: 1e-3 * x, lambda x: x + 1e6])
@pytest.mark.parametrize("recipe", [cf.maf, cf.realnvp, cf.nsf])
@pytest.mark.parametrize("kind", [cf.real, cf.positive, cf.count])
def test_a_refit_on_other_units(recipe: Any, kind: Any, change: Any) -> None:
    flow = recipe(4, 1, hidden=(8,), columns=[kind, *[cf.real] * 3], seed=0)
    x = CLEAN.copy()
    x[:, 0] = np.exp(x[:, 0] / 4) if kind == cf.positive else x[:, 0]
    x[:, 0] = RNG.poisson(3, len(x)) if kind == cf.count else x[:, 0]
    assert refitted(flow, x) == [] and refitted(flow, x + 0.5 * (kind == cf.real)) == []
    other = x.copy()
    other[:, 1] = change(x[:, 1])
    (message,) = refitted(flow, other)
    assert message.startswith(f"column 1: {AGAIN}")
    assert refitted(flow, other, standardize="again") == []
    assert refitted(flow, other) == []


@pytest.mark.parametrize("change", [lambda c: 1000 * c, lambda c: 1e-3 * c, lambda c: c + 1e6])
def test_a_context_of_other_units(change: Any) -> None:
    context = RNG.normal(size=(len(CLEAN), 3))
    made = {"hidden": (8,), "seed": 0}
    flow = cf.maf(4, 1, context_columns=[cf.real, cf.real, cf.categorical(40)], **made)
    context[:, 2] = RNG.integers(0, 40, len(context))
    other = context.copy()
    other[:, 1] = change(context[:, 1])
    assert refitted(flow, CLEAN, context) == [] and refitted(flow, CLEAN, context) == []
    (message,) = refitted(flow, CLEAN, other)
    assert message.startswith(f"context column 1: {AGAIN}")
    assert refitted(flow, CLEAN, other, standardize="again") == []
    raw = cf.maf(4, 1, context_features=3, standardize_context=False, **made)
    (message,) = refitted(raw, CLEAN, np.column_stack([other[:, :2], context[:, 0]]))
    assert message.startswith(f"context column 1: {RAW} it: leave standardize_context")


def test_flows_that_standardise_nothing() -> None:
    off = CLEAN * [1.0, 1e3, 1.0, 1.0] + [1e5, 0.0, 0.0, 0.0]
    plain = [cf.Coupling(hidden=(8,))]
    for flow in (cf.Flow(plain, 4, seed=0), cf.realnvp(4, 1, standardize=False, seed=0)):
        assert refitted(flow, CLEAN) == []
        (message,) = refitted(flow, off)
        assert message.startswith(f"columns 0, 1: {RAW} them: leave standardize as it is")
    assert refitted(cf.Flow([*plain, cf.ActNorm()], 4, seed=0), off) == []
    vae = cf.VAE(cf.MLP((8,)), cf.MLP((8,)), latents=2, shape=(4,), seed=0,
                 likelihood=cf.NormalLikelihood())  # fmt: skip
    assert refitted(vae, CLEAN) == []
    assert refitted(vae, off)[0].startswith(f"columns 0, 1: {RAW} them")


# -- rows -- #


def test_rows_that_repeat_others() -> None:
    twice = RNG.permutation(np.repeat(CLEAN[:500], 2, axis=0))
    (message,) = said(twice)
    assert message.startswith("500 of 1,000 rows repeat another, so that rows held out are learned")
    assert said(np.concatenate([CLEAN, CLEAN[:50]])) == []
    context = RNG.normal(size=(1000, 1))
    flow = cf.maf(4, 1, hidden=(8,), context_features=1, seed=0)
    assert refitted(flow, twice, context) == []  # each with a context of its own
    assert len(refitted(flow, twice, np.zeros((1000, 1)))) == 1


def test_weights_of_few_rows() -> None:
    weights = np.ones(len(CLEAN))
    weights[3] = 1e9
    (message,) = said(CLEAN, weights=weights)
    assert message.startswith(
        "weights: few of the 3,000 rows have nearly all, so that they tell as"
    )
    assert "as 1.0 rows" in message
    assert said(CLEAN, weights=RNG.exponential(size=len(CLEAN))) == []


def test_rows_that_are_too_few() -> None:
    assert said(CLEAN[:9])[0].startswith("9 rows of 4 columns: too few to tell a density from")
    wide = RNG.normal(size=(15, 20))
    assert said(wide, features=20)[0].startswith("15 rows of 20 columns: too few")
    assert said(CLEAN[:20]) == []


def test_a_column_of_few_numbers() -> None:
    x = with_column(2, np.nan)
    x[7:16, 2] = CLEAN[7:16, 2]
    (message,) = said(x, missing="marginal")
    assert message.startswith("column 2: next to no numbers, too few to tell a density from")
    x[17:22, 2] = CLEAN[17:22, 2]
    assert said(x, missing="marginal") == []


# -- numbers -- #


@pytest.mark.parametrize("value", [0.0, -999.0])
def test_a_sentinel_of_few_rows(value: float) -> None:
    """Among numbers that are all different: half a percent."""
    x = CLEAN * 500
    x[:15, 2] = value
    (message,) = said(x)
    assert message.startswith("column 2: one value in many rows")
    x[4:, 2] = CLEAN[4:, 2] * 500
    assert said(x) == []


@pytest.mark.parametrize("step", [0.1, 1 / 3, 1 / 16])
def test_rounded_numbers(step: float) -> None:
    x = with_column(1, step * np.round(CLEAN[:, 1] / step))
    (message,) = said(x)
    assert message.startswith("column 1: few different numbers, such as rounded ones, whose")
    assert said(x, jitter=[0.0, step, 0.0, 0.0]) == []


def test_whole_numbers_with_gaps_and_a_few_fractions() -> None:
    x = with_column(0, RNG.integers(0, 5000, len(CLEAN)))
    x[:20, 0] += 0.5
    assert said(x)[0].startswith("column 0: whole numbers")
    x[::7, 0] = np.nan
    assert said(x, missing="marginal")[0].startswith("column 0: whole numbers")


@pytest.mark.parametrize("offset", [0.0, 2460000.5, 1e9])
@pytest.mark.parametrize("scale", [1.0, 1e50])
def test_sums_of_columns_anywhere(offset: float, scale: float) -> None:
    z = RNG.normal(size=(3000, 2)) + offset
    x = scale * np.column_stack([z, z.sum(axis=1), RNG.normal(size=3000)])
    assert said(x)[0].startswith("columns 0, 1, 2: one is nearly a linear function of the others")


def test_shares_that_add_up() -> None:
    shares = RNG.dirichlet([2.0, 3.0, 4.0], size=3000)
    for kind in (cf.positive, cf.interval(0, 1), cf.real):
        (message,) = said(shares, features=3, columns=[kind] * 3)
        assert message.startswith("columns 0, 1, 2: one is nearly a linear function of the others")


def test_a_function_of_the_context() -> None:
    context = RNG.normal(size=(3000, 2))
    x = np.column_stack([CLEAN[:, 0], 2 * context[:, 0] - context[:, 1] + 1])
    flow = cf.maf(2, 1, hidden=(8,), context_features=2, seed=0)
    (message,) = refitted(flow, x, context)
    assert message.startswith("column 1: nearly a linear function of the context")
    x[:, 1] += 0.1 * RNG.normal(size=3000)
    assert refitted(flow, x, context) == []


def test_angles_on_a_short_arc() -> None:
    def near(centre: float) -> np.ndarray:
        return np.column_stack([np.mod(centre + 2 * RNG.normal(size=3000), 360), CLEAN[:, 0]])

    def new(**options: Any) -> cf.Flow:
        kinds = [cf.circular(360), cf.real]
        return cf.nsf(2, 1, hidden=(8,), columns=kinds, seed=0, **options)

    for centre in (0.0, 180.0, 359.0):
        flow = new()
        assert refitted(flow, near(centre)) == [] and refitted(flow, near(centre)) == []
        (message,) = refitted(flow, near(centre + 90.0))
        assert message.startswith(f"column 0: {AGAIN}")
        (message,) = refitted(new(standardize=False), near(centre))
        assert message.startswith(f"column 0: {RAW} it")
    around = np.column_stack([RNG.uniform(0, 360, 3000), CLEAN[:, 0]])
    assert refitted(new(standardize=False), around) == []


def test_heavy_tails_of_a_robust_flow() -> None:
    x = with_column(2, RNG.standard_cauchy(len(CLEAN)))
    (message,) = said(x, standardize="robust")
    assert message.startswith("column 2: many numbers far from all others, as of heavy tails")
    flow = cf.maf(4, 1, hidden=(8,), standardize="robust", base=cf.StudentT(2.0), seed=0)
    assert refitted(flow, x) == []


def test_images_of_whole_numbers() -> None:
    images = RNG.integers(0, 256, size=(60, 1, 8, 8))
    made = {"shape": (1, 8, 8), "levels": 1, "seed": 0}
    flow = cf.glow(steps=1, channels=4, **made)
    (message,) = refitted(flow, images)
    assert message.startswith("pixels of 256 different values, whose density is unbounded: make")
    assert refitted(flow, images, jitter=1.0) == []
    assert refitted(flow, images + RNG.random(images.shape)) == []
    assert refitted(cf.glow(steps=1, channels=4, discrete=256, **made), images) == []


# -- digits -- #


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_with_more_digits_than_the_dtype(dtype: str) -> None:
    fine = CLEAN * [1.0, 0.05, 1.0, 1.0] + [0.0, 1.126e9, 0.0, 0.0]
    raw = cf.maf(4, 1, hidden=(8,), standardize=False, dtype=dtype, seed=0)  # with batch norms
    whole = cf.maf(4, 1, hidden=(8,), dtype=dtype, seed=0)
    said_of_raw, said_of_whole = refitted(raw, fine), refitted(whole, fine)
    assert said_of_whole == []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        cf.audit(whole, fine[:50])
        assert caught == []
        cf.audit(raw, fine[:50])
    if dtype == "float64":
        assert said_of_raw == [] and caught == []
        return
    expected = "column 1: too fine for the digits of the flow's dtype where it sees it: give the"
    assert said_of_raw[0].startswith(expected) and len(said_of_raw) == 1
    assert str(caught[0].message).startswith(expected) and caught[0].filename == __file__


def test_a_context_with_more_digits_than_the_dtype() -> None:
    context = 1.7e9 + RNG.normal(size=(len(CLEAN), 1))
    made = {"hidden": (8,), "context_features": 1, "seed": 0}
    raw = cf.maf(4, 1, standardize_context=False, **made)
    (message,) = refitted(raw, CLEAN, context)
    assert message.startswith(f"context column 0: {RAW} it: leave standardize_context as it is")
    assert refitted(cf.maf(4, 1, **made), CLEAN, context) == []


# -- groups -- #


@pytest.mark.parametrize("apart", [40.0, 1e4])
def test_groups_far_apart(apart: float) -> None:
    group = RNG.random(len(CLEAN)) < 0.3
    (message,) = said(with_column(1, CLEAN[:, 1] + apart * CLEAN[:, 1].std() * group))
    assert message.startswith(
        "column 1: in groups far apart, beside which each is narrow and badly"
    )
    context = np.column_stack([CLEAN[:, 0], RNG.normal(size=len(CLEAN)) + apart * group])
    flow = cf.maf(4, 1, hidden=(8,), context_features=2, seed=0)
    (message,) = refitted(flow, CLEAN[:, [1, 2, 3, 0]] + RNG.normal(size=CLEAN.shape), context)
    assert message.startswith("context column 1: in groups far apart")


def test_groups_near_each_other() -> None:
    group = RNG.random(len(CLEAN)) < 0.3
    assert said(with_column(1, CLEAN[:, 1] + 8 * CLEAN[:, 1].std() * group)) == []
    binary = np.column_stack([group, RNG.normal(size=len(CLEAN))])
    flow = cf.maf(4, 1, hidden=(8,), context_features=2, seed=0)
    assert refitted(flow, CLEAN, binary) == []
