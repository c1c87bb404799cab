"""Names that are no strings, names that several columns have, and rows and columns by name."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import cflows as cf
import model_files
from cflows import nn

RNG = np.random.default_rng(0)
X = np.column_stack([RNG.normal(size=300), 50 + 3 * RNG.normal(size=300)])
CONTEXT = pd.DataFrame({"p": RNG.normal(size=300), "q": 10 + RNG.normal(size=300)})
QUICK: dict[str, Any] = {"epochs": 1, "seed": 0, "progress": False}


def table(*names: Any, x: np.ndarray = X) -> pd.DataFrame:
    frame = pd.DataFrame(x)
    frame.columns = pd.Index(names, tupleize_cols=isinstance(names[0], tuple))
    return frame


def fitted(x: Any, *context: Any) -> cf.Flow:
    flow = cf.realnvp(2, 2, hidden=8, context_features=2 * len(context), seed=0)
    flow.fit(x, *context, **QUICK)
    return flow


def one_column(name: Any = "a") -> cf.Flow:
    flow = cf.nsf(1, 2, hidden=8, seed=0)
    flow.columns = (name,)
    return flow


NAMES = {
    "years": ([2019, 2020], ("2019", "2020")),
    "from 1": ([1, 2], ("1", "2")),
    "gap": ([0, 2], ("0", "2")),
    "floats": ([0.5, 1.0], ("0.5", "1.0")),
    "levels": ([("a", "x"), ("b", "")], ("a.x", "b")),
    "mixed": (["a", 1], ("a", "1")),
    "truth": ([True, False], ("True", "False")),
    "dates": (
        list(pd.date_range("2020-01-01", periods=2)),
        ("2020-01-01 00:00:00", "2020-01-02 00:00:00"),
    ),
}


@pytest.mark.parametrize("kind", NAMES)
def test_names_of_any_kind_are_matched_as_text(kind: str) -> None:
    names, learned = NAMES[kind]
    frame, more = table(*names), table("more", x=X[:, :1])
    flow = fitted(frame, frame)
    assert flow.columns == flow.context_columns == learned
    truth = flow.log_prob(X, X)
    for given in (
        frame.iloc[:, [1, 0]],
        pd.concat([more, frame.iloc[:, [1, 0]]], axis=1),
        pd.DataFrame(X[:, ::-1], columns=learned[::-1]),
    ):
        np.testing.assert_array_equal(flow.log_prob(given, given), truth)
    row = frame.iloc[5, [1, 0]]
    np.testing.assert_array_equal(flow.log_prob(X, row), flow.log_prob(X, X[5]))
    with pytest.raises(ValueError, match=f"lacks the column {learned[1]}: the flow learned"):
        flow.log_prob(frame.iloc[:, :1], X)


def test_a_table_of_all_columns_is_matched_to_some_by_number() -> None:
    flow = fitted(table(0, 2))
    whole = pd.DataFrame(np.column_stack([X[:, 0], 7 * X[:, 0], X[:, 1]]))
    np.testing.assert_array_equal(flow.log_prob(whole[[1, 2, 0]]), flow.log_prob(X))
    with pytest.raises(ValueError, match="x lacks the column 2"):
        flow.log_prob(pd.DataFrame(X))


def test_numbers_from_0_are_no_names() -> None:
    flow = fitted(table(1, 0, x=X[:, ::-1]), table(1, 0, x=X[:, ::-1]))
    assert flow.columns is flow.context_columns is None
    plain = fitted(X, X)
    for given in (table(0, 1), table(1, 0, x=X[:, ::-1])):
        np.testing.assert_array_equal(flow.log_prob(given, given), plain.log_prob(X, X))
        row = given.iloc[3]
        np.testing.assert_array_equal(plain.log_prob(X, row), plain.log_prob(X, X[3]))
    named = fitted(table("a", "b"))
    np.testing.assert_array_equal(
        named.log_prob(table(1, 0, x=X[:, ::-1])), named.log_prob(table("a", "b"))
    )


def test_labels_of_categories_under_names_of_any_kind() -> None:
    flow = cf.maf(2, 1, 8, columns=[cf.categorical(["s", "t"]), cf.real], seed=0)
    flow.columns = ("1", "2")
    frame = pd.DataFrame({2: [0.5, 1.5], 1: ["t", "s"]})
    np.testing.assert_array_equal(flow.log_prob(frame), flow.log_prob([[1, 0.5], [0, 1.5]]))


def test_names_that_several_columns_have() -> None:
    twice = table("a", "a")
    flow = cf.realnvp(2, 2, hidden=8, context_features=2, seed=0)
    with pytest.warns(cf.DataWarning, match="x: several columns are named 'a'") as caught:
        flow.fit(twice, table("p", "q"), **QUICK)
    assert [w.filename for w in caught if "several" in str(w.message)] == [__file__]
    assert (flow.columns, flow.context_columns) == (None, ("p", "q"))
    np.testing.assert_array_equal(flow.log_prob(twice, X), flow.log_prob(X, X))
    known = fitted(table("a", "b"))
    both = np.column_stack([X[:, ::-1], X])
    with pytest.raises(ValueError, match="x has several columns named 'a': the flow learned a, b"):
        known.log_prob(table("b", "a", "c", "a", x=both))
    found = known.log_prob(table("b", "a", "c", "c", x=both))
    np.testing.assert_array_equal(found, known.log_prob(X))
    with pytest.raises(ValueError, match="x has several columns named 'b'"):
        known.fit(table("a", "b", "b", "c", x=both), **QUICK)


def test_a_row_of_the_context_is_matched_by_its_labels() -> None:
    flow = fitted(table("a", "b"), CONTEXT)
    truth = flow.sample(3, [-30.0, 1.0], seed=0)
    row = pd.Series({"q": 1.0, "more": 7.0, "p": -30.0})
    np.testing.assert_array_equal(flow.sample(3, row, seed=0), truth)
    numbered = pd.Series([-30.0, 1.0])
    np.testing.assert_array_equal(flow.sample(3, numbered, seed=0), truth)
    for index in (["q", "zz"], ["x", "y"], [5, 6]):
        row = pd.Series([-30.0, 1.0], index=index)
        with pytest.raises(ValueError, match="context lacks the column"):
            flow.sample(3, row)
    with pytest.raises(ValueError, match=r"context must have shape \(n, 2\) or \(2,\), got"):
        flow.sample(3, CONTEXT["p"])


def test_a_column_by_itself_has_the_name_that_was_learned() -> None:
    flow, frame = one_column(), table("a", "b")
    truth = flow.cdf(X[:, 0])
    unnamed = frame["a"].rename(None), frame["a"].rename(""), frame["a"].rename(7)
    for column in (frame["a"], *unnamed):
        np.testing.assert_array_equal(flow.cdf(column), truth)
    for other in (frame["b"], frame["b"].rename(("a", "x"))):
        for call in (flow.cdf, lambda x: cf.plot.pit(flow, x), lambda x: cf.plot.density(flow, x)):
            with pytest.raises(ValueError, match=r"x is the column .*, and the flow learned a"):
                call(other)
    with pytest.raises(ValueError, match="x is the column 2020, and the flow learned 2019"):
        one_column("2019").cdf(frame["a"].rename(2020))
    flow.columns = None
    np.testing.assert_array_equal(flow.cdf(frame["b"].rename("c")), flow.cdf(X[:, 1]))


def test_columns_of_astropy_have_names_too() -> None:
    astropy = pytest.importorskip("astropy.table").Table(X, names=["a", "b"])
    flow = one_column()
    np.testing.assert_array_equal(flow.cdf(astropy["a"]), flow.cdf(X[:, 0]))
    with pytest.raises(ValueError, match="x is the column b, and the flow learned a"):
        flow.cdf(astropy["b"])


def test_a_jitter_is_matched_by_its_labels() -> None:
    def losses(jitter: Any, x: Any = X) -> list[float]:
        return cf.realnvp(2, 2, hidden=8, seed=0).fit(x, jitter=jitter, **QUICK).train

    frame, truth = table("a", "b"), losses([0.0, 10.0])
    assert losses([10.0, 0.0]) != truth
    assert losses(pd.Series({"b": 10.0, "a": 0.0}), frame) == truth
    assert losses(pd.Series([0.0, 10.0]), frame) == truth
    with pytest.raises(ValueError, match="jitter lacks the column a: the flow learned a, b"):
        losses(pd.Series({"b": 10.0, "c": 0.0}), frame)


def test_rows_in_another_order_are_refused() -> None:
    x, weights = table("a", "b"), pd.Series(RNG.uniform(size=300))
    turned, mixed = CONTEXT[::-1], weights.sample(frac=1, random_state=0)
    flow = cf.realnvp(2, 2, hidden=8, context_features=2, seed=0)
    for arguments, validation, message in (
        ((x, turned), 0.1, r"the index of context .* write context.loc\[x.index\]"),
        ((x, CONTEXT, mixed), 0.1, r"the index of weights .* write weights.loc\[x.index\]"),
        ((x, CONTEXT), (x, turned), "validation: the index of context is that of x in another"),
        ((x, CONTEXT), (x, CONTEXT, mixed), "validation: the index of weights is"),
    ):
        with pytest.raises(ValueError, match=message):
            flow.fit(*arguments, validation=validation, **QUICK)
    with cf.Trainer(flow) as trainer, pytest.raises(ValueError, match="the index of context is"):
        trainer.step(x, turned)
    truth = flow.fit(X, CONTEXT.to_numpy(), weights.to_numpy(), **QUICK).train
    for context in (turned.loc[x.index], CONTEXT.set_index(CONTEXT.index[::-1] + 1)):
        again = cf.realnvp(2, 2, hidden=8, context_features=2, seed=0)
        assert again.fit(x, context, weights, **QUICK).train == truth


def test_objectives_learn_names_as_flows_do(tmp_path: Path) -> None:
    def loss(x: nn.Tracer, p: Any, context: nn.Tracer) -> nn.Tracer:
        return nn.sum((x * p.w - context) ** 2)

    starts = {"w": [0.5, 2.0]}
    model = nn.objective(loss, 2, context_features=2, parameters=starts, dtype="float64", seed=0)
    predict = nn.function(model, lambda x, p, context: x * p.w, "predict")
    x, turned = table("a", "b"), table("b", "a", x=X[:, ::-1])
    model.fit(x, CONTEXT, validation=(turned, CONTEXT[["q", "p"]]), **QUICK)
    names = (model.columns, model.context_columns)
    assert names == (("a", "b"), ("p", "q"))
    w = np.array(model.parameters["w"])
    np.testing.assert_allclose(predict(turned, CONTEXT[["q", "p"]]), X * w, rtol=1e-12)
    expected = ((X * w - CONTEXT.to_numpy()) ** 2).sum(axis=1)
    np.testing.assert_allclose(model.loss(turned, CONTEXT[["q", "p"]]), expected, rtol=1e-12)
    with pytest.raises(ValueError, match="x lacks the column b"):
        model.loss(table("a", "c"), CONTEXT)
    model.save(tmp_path / "model")
    for same in (
        cf.load(tmp_path / "model"),
        pickle.loads(pickle.dumps(model)),
        copy.copy(model),
        model.astype("float32"),
    ):
        assert (same.columns, same.context_columns) == names
    forged = model_files.forge((tmp_path / "model").read_bytes(), columns=["a", "a"])
    with pytest.raises(ValueError, match="columns must be 2 different names"):
        cf.load(model_files.write(tmp_path / "hostile", forged))
    with pytest.raises(AttributeError, match="a Loss has no attribute 'colums' to set"):
        model.colums = ("a", "b")  # type: ignore[attr-defined]
