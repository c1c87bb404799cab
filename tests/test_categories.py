"""Columns of categories: the Argmax layer against its formulas, recipes, labels in tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import special, stats

import cflows as cf
from differences import gradient

LOGITS = np.array([0.5, -1.0, 0.2, 1.5, -0.3])


def argmax_flow(dtype: str = "float64") -> cf.Flow:
    flow = cf.Flow([cf.Argmax([3, 1, 2])], features=3, dtype=dtype)
    flow.parameters["layers.0.logits"][...] = LOGITS
    return flow


def rows(n: int = 4000) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.column_stack([rng.integers(0, 3, n), rng.normal(size=n), rng.integers(0, 2, n)])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_are_drawn_whose_largest_is_the_category(dtype: str) -> None:
    x = rows().astype(dtype)
    u, log_det = argmax_flow(dtype).inverse(x, seed=3)
    assert u.shape == (4000, 6)
    np.testing.assert_array_equal(u[:, :3].argmax(axis=1), x[:, 0])
    np.testing.assert_array_equal(u[:, 3], x[:, 1])
    np.testing.assert_array_equal(u[:, 4:].argmax(axis=1), x[:, 2])
    np.testing.assert_array_equal(argmax_flow(dtype).forward(u)[0], x)
    expected = np.zeros(4000)
    for v, logits, column in ((u[:, :3], LOGITS[:3], 0), (u[:, 4:], LOGITS[3:], 2)):
        log_share = special.log_softmax(logits)[x[:, column].astype(int)]
        expected -= stats.gumbel_r.logpdf(v, loc=logits).sum(axis=1) - log_share
    tolerance = 1e-4 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(log_det, expected, rtol=tolerance, atol=tolerance)


def test_they_are_gumbel_variables_given_that() -> None:
    """With categories in proportion to softmax(logits) they are free ones."""
    rng = np.random.default_rng(1)
    first = rng.choice(3, p=special.softmax(LOGITS[:3]), size=20_000)
    x = np.column_stack([first, np.zeros(20_000), np.zeros(20_000)])
    u, _ = argmax_flow().inverse(x, seed=0)
    for k in range(3):
        assert stats.kstest(u[:, k], stats.gumbel_r(loc=LOGITS[k]).cdf).pvalue > 1e-3
    largest = stats.gumbel_r(loc=special.logsumexp(LOGITS[3:]))
    assert stats.kstest(u[:, 4:].max(axis=1), largest.cdf).pvalue > 1e-3
    assert abs(np.corrcoef(u[:, 0], u[:, 1])[0, 1]) < 0.03


def test_the_bound_is_that_of_the_probability() -> None:
    """With a base of the same Gumbel variables it is exact: no noise is left."""
    layers = [cf.Inverse(cf.Softplus()), cf.Argmax([3])]  # some density of u
    flow = cf.Flow([cf.Elementwise(), *layers[1:]], features=1, dtype="float64", seed=0)
    constant = flow.parameters["layers.0.conditioner.constant"]
    constant[...] = [0.2, 0.0, -0.2, 1.0, 0.3, -0.4]
    samples = flow.sample(400_000, seed=1)[:, 0].astype(int)
    share = np.bincount(samples) / len(samples)
    found = np.exp(flow.importance_weighted_log_prob(np.arange(3.0)[:, None], 50_000))
    np.testing.assert_allclose(found, share, atol=0.01)
    assert np.exp(flow.log_prob(np.repeat(np.arange(3.0), 999)[:, None])).mean() < share.max()


def test_gradients_of_the_logits() -> None:
    x = rows(20)
    flow = argmax_flow()
    logits = flow.parameters["layers.0.logits"]

    def loss() -> float:
        return float(flow.log_prob(x, seed=5).sum())

    expected = gradient(loss, logits)
    _, found = flow.loss_and_grad(x, seed=5)
    np.testing.assert_allclose(-20 * found["layers.0.logits"], expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("bad", [-1.0, 3.0, 0.5, np.inf])
def test_other_numbers_are_no_categories(bad: float) -> None:
    flow = argmax_flow()
    log_prob = flow.log_prob([[bad, 0.0, 1.0], [1.0, 0.0, 1.0], [np.nan, 0.0, 1.0]])
    assert log_prob[0] == -np.inf and np.isfinite(log_prob[1]) and np.isnan(log_prob[2])
    with pytest.raises(ValueError, match="row 0 has log_prob -inf: it lies outside the domain"):
        flow.fit([[7.0, 0.0, 1.0]] * 20, validation=None, progress=False)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: cf.Argmax([1, 1]), "no column has more than one category"),
        (lambda: cf.Argmax([0, 2]), "categories must be from 1 to 1024, got 0 at 0"),
        (lambda: cf.Flow([cf.Argmax([3, 2])], 3), "2 numbers of categories for vectors of 3"),
        (lambda: cf.Flow([cf.Argmax([4])], shape=(1, 2, 2)), "for images"),
        (lambda: cf.categorical(1), "categories must be"),
        (lambda: cf.categorical(["a", "a"]), "all different, got 2, of which 1 are different"),
        (lambda: cf.maf(2, columns=[cf.real, cf.categorical(3)], standardize="whiten"),
         "circular and categorical ones cannot be"),
    ],
)  # fmt: skip
def test_what_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_labels_are_strings() -> None:
    for wrong in ("abc", [1, 2], None):
        with pytest.raises(TypeError):
            cf.categorical(wrong)  # type: ignore[arg-type]


SHARES, MEANS = np.array([0.5, 0.3, 0.2]), np.array([0.0, 4.0, -4.0])
KINDS = cf.categorical(["star", "galaxy", "quasar"])


def sky(n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    kind = rng.choice(3, p=SHARES, size=n)
    return np.column_stack([100 + 10 * (MEANS[kind] + rng.normal(size=n)), kind])


def sky_log_prob(x: np.ndarray) -> np.ndarray:
    kind = x[:, 1].astype(int)
    return np.log(SHARES[kind]) + stats.norm.logpdf(x[:, 0], 100 + 10 * MEANS[kind], 10)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("recipe", ["realnvp", "maf", "iaf", "nsf", "nsf_ar", "nice", "glow1d"])
def test_recipes_learn_them_beside_numbers(recipe: str, dtype: str) -> None:
    hidden = 32 if recipe.startswith("nsf") else (32,)
    flow = getattr(cf, recipe)(2, 4, hidden, columns=[cf.real, KINDS], dtype=dtype, seed=0)
    flow.fit(sky(3000, 1), epochs=25, optimizer=cf.Adam(4e-3), seed=0, progress=False)
    test = sky(3000, 2)
    exact = sky_log_prob(test).mean()
    found = flow.importance_weighted_log_prob(test, 20).mean()
    assert exact - 0.35 < found < exact + 0.03  # without the columns' dependence 0.8 are lacking
    drawn = flow.sample(5000, seed=3)
    np.testing.assert_allclose(np.bincount(drawn[:, 1].astype(int)) / 5000, SHARES, atol=0.06)
    quasars = drawn[drawn[:, 1] == 2, 0]
    assert np.median(quasars) == pytest.approx(60, abs=10)


def test_labels_of_tables(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    x = sky(300, 1)
    labels = np.array(KINDS.labels)[x[:, 1].astype(int)]
    table = pandas.DataFrame({"kind": labels, "flux": x[:, 0]})
    flow = cf.maf(2, 2, hidden=(8,), columns=[KINDS, cf.real], seed=0)
    assert flow.categories == (("star", "galaxy", "quasar"), None)
    flow.fit(table, epochs=2, seed=0, progress=False)
    turned = x[:, ::-1]
    expected = flow.log_prob(turned)
    turned_round = table[["flux", "kind"]].assign(other=1)
    objects = np.array(table, object)
    as_category = table.astype({"kind": "category"})
    for given in (table, turned_round, as_category, objects, objects.tolist()):
        np.testing.assert_array_equal(flow.log_prob(given), expected)
    flow.save(tmp_path / "f.safetensors")
    again = cf.load(tmp_path / "f.safetensors")
    assert again.categories == flow.categories
    np.testing.assert_array_equal(again.log_prob(table), expected)
    with pytest.raises(
        ValueError, match=r"'kind', row 1: expected one of its categories star.*, got 'comet'"
    ):
        flow.log_prob(pandas.DataFrame({"kind": ["star", "comet"], "flux": [1.0, 2.0]}))
    lacking = pandas.DataFrame({"kind": [None, "star"], "flux": [1.0, 2.0]})
    np.testing.assert_array_equal(np.isnan(flow.log_prob(lacking)), [True, False])
    with pytest.raises(ValueError, match=r"row 0 holds nan in column 0 \(kind\)"):
        flow.fit(lacking, validation=None)


def test_samples_as_tables_have_labels() -> None:
    flow = cf.maf(2, 2, hidden=(8,), columns=[KINDS, cf.real], seed=0)
    frame, rows = flow.sample(50, seed=1, as_frame=True), flow.sample(50, seed=1)
    assert list(frame.columns) == [0, 1]
    assert frame[0].tolist() == [KINDS.labels[int(kind)] for kind in rows[:, 0]]
    np.testing.assert_array_equal(frame[1], rows[:, 1])
    flow.columns = ("kind", "flux")
    again = flow.sample(50, seed=1, as_frame=True)
    np.testing.assert_array_equal(flow.log_prob(again, seed=2), flow.log_prob(rows, seed=2))


def test_labels_that_are_numbers_are_matched_as_such() -> None:
    pandas = pytest.importorskip("pandas")
    labels = sorted(map(str, range(12)))  # "0", "1", "10", "11", "2", ...
    flow = cf.maf(2, 2, hidden=(8,), columns=[cf.categorical(labels), cf.real], seed=0)
    values = pandas.DataFrame({"k": range(12), "x": 0.5})
    text = pandas.DataFrame({"k": list(map(str, range(12))), "x": 0.5})
    places = [[labels.index(str(k)), 0.5] for k in range(12)]
    expected = flow.log_prob(np.array(places))
    for table in (values, text, values.astype({"k": float}), text.to_numpy().tolist()):
        np.testing.assert_array_equal(flow.log_prob(table), expected)
    truth = cf.maf(2, 1, hidden=(8,), columns=[cf.categorical(["False", "True"]), cf.real], seed=0)
    table = pandas.DataFrame({"k": [True, False], "x": [0.5, 0.5]})
    np.testing.assert_array_equal(truth.log_prob(table), truth.log_prob([[1, 0.5], [0, 0.5]]))
    kinds = pandas.Series(["b", "a", "b"]).unique()
    assert cf.categorical(kinds) == cf.categorical(["b", "a"])
    with pytest.raises(
        ValueError, match="column 'k', row 0: expected one of its categories 0, 1, 10"
    ):
        flow.log_prob(pandas.DataFrame({"k": [12], "x": [0.5]}))


def test_an_audit_is_of_the_layers_before() -> None:
    flow = cf.maf(2, 2, hidden=(8,), columns=[KINDS, cf.real], seed=0)
    with pytest.raises(ValueError, match="from 2 features to the base's 4 there is none"):
        cf.audit(flow, sky(10, 1)[:, ::-1])
