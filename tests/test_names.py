"""Columns by name: tables are matched to the flow that learned them, arrays go by position."""

from __future__ import annotations

import copy
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import cflows as cf
import model_files

RNG = np.random.default_rng(0)
Z = RNG.normal(size=(400, 3))
VALUES = {"a": Z[:, 0], "b": 50 + 3 * Z[:, 1], "c": -7 + 0.1 * Z[:, 2], "note": Z[:, 0] ** 2}
CONTEXT = {"z": Z[:, 0] + 2, "w": 1e4 * Z[:, 1]}


class Table:
    """As much of a table of pandas as is looked at: names, a choice of columns, an array."""

    def __init__(self, values: dict[str, np.ndarray]) -> None:
        self.values = values
        self.columns: Any = list(values)

    def __getitem__(self, names: list[str]) -> Table:
        return Table({name: self.values[name] for name in names})

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.stack(list(self.values.values()), axis=1)


class ArrowTable:
    """The same of pyarrow's."""

    def __init__(self, values: dict[str, np.ndarray]) -> None:
        self.values = values
        self.column_names = list(values)

    def select(self, names: list[str]) -> ArrowTable:
        return ArrowTable({name: self.values[name] for name in names})

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.stack(list(self.values.values()), axis=1)


def structured(values: dict[str, np.ndarray]) -> np.ndarray:
    """As FITS files have it: named fields, of the other byte order."""
    array = np.zeros(400, [(name, ">f8") for name in values])
    for name, column in values.items():
        array[name] = column
    return array


def pandas(values: dict[str, np.ndarray]) -> Any:
    return pd.DataFrame(values)


KINDS: dict[str, Any] = {
    "table": Table,
    "arrow": ArrowTable,
    "structured": structured,
    "pandas": pandas,
}


def of(values: dict[str, np.ndarray], *names: str) -> dict[str, np.ndarray]:
    return {name: values[name] for name in names}


def array(*names: str) -> np.ndarray:
    return np.stack([VALUES[name] for name in names], axis=1)


def fitted(kind: Any = Table) -> cf.Flow:
    flow = cf.maf(2, 1, hidden=(8,), context_features=2, seed=0)
    flow.fit(kind(of(VALUES, "a", "b")), kind(CONTEXT), epochs=2, seed=0, progress=False)
    return flow


@pytest.mark.parametrize("kind", KINDS)
def test_a_table_is_matched_by_name(kind: str) -> None:
    make = KINDS[kind]
    flow = fitted(make)
    assert (flow.columns, flow.context_columns) == (("a", "b"), ("z", "w"))
    context, plain = np.stack(list(CONTEXT.values()), axis=1), array("a", "b")
    truth, turned = flow.log_prob(plain, context), make(of(CONTEXT, "w", "z"))
    for x in (make(of(VALUES, "a", "b")), make(of(VALUES, "c", "b", "note", "a"))):
        np.testing.assert_array_equal(flow.log_prob(x, turned), truth)
        np.testing.assert_array_equal(flow.log_prob(x, context), truth)
        np.testing.assert_array_equal(flow.inverse(x, turned)[0], flow.inverse(plain, context)[0])
        score = flow.grad_log_prob(plain, context)
        np.testing.assert_array_equal(flow.grad_log_prob(x, turned), score)
    assert abs(flow.log_prob(array("b", "a"), context).mean() - truth.mean()) > 1


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_missing_is_an_error_that_lists_it(kind: str) -> None:
    make = KINDS[kind]
    flow = fitted(make)
    message = "x lacks the column b: the flow learned a, b, and the table has a, c"
    for call in (flow.log_prob, flow.inverse, flow.grad_log_prob, flow.fit):
        with pytest.raises(ValueError, match=message):
            call(make(of(VALUES, "a", "c")), make(CONTEXT))
    with pytest.raises(ValueError, match="context lacks the columns z, w"):
        flow.log_prob(make(of(VALUES, "a", "b")), make(of(VALUES, "a", "c")))
    other = (make(of(VALUES, "a", "c")), make(CONTEXT))
    with pytest.raises(ValueError, match="x lacks the column b"):
        flow.fit(make(of(VALUES, "b", "a")), make(CONTEXT), validation=other)


def test_a_later_fit_and_its_validation_are_matched_too() -> None:
    one, other = fitted(), fitted()
    options: dict[str, Any] = {"epochs": 2, "seed": 1, "progress": False}
    x, context = Table(of(VALUES, "a", "b")), Table(CONTEXT)
    one.fit(x, context, validation=(x, context), **options)
    turned = Table(of(VALUES, "b", "note", "a")), Table(of(CONTEXT, "w", "z"))
    other.fit(*turned, validation=turned, **options)
    with cf.Trainer(one, seed=0) as a, cf.Trainer(other, seed=0) as b:
        assert a.step(x, context) == b.step(*turned)
    for name, parameter in one.parameters.items():
        np.testing.assert_array_equal(parameter, other.parameters[name])


def test_checks_and_bounds_match_by_name_too() -> None:
    flow = fitted()
    x, context = Table(of(VALUES, "b", "a")), Table(CONTEXT)
    plain, given = array("a", "b"), np.stack(list(CONTEXT.values()), axis=1)
    bound = flow.importance_weighted_log_prob(x, 1, context)
    np.testing.assert_allclose(bound, flow.log_prob(plain, given), rtol=1e-6)
    np.testing.assert_array_equal(cf.jacobian(flow, x, context), cf.jacobian(flow, plain, given))
    assert cf.audit(flow, x, context) == cf.audit(flow, plain, given)


def test_names_go_with_the_flow(tmp_path: Path) -> None:
    flow = fitted()
    flow.save(tmp_path / "flow.safetensors")
    for same in (
        cf.load(tmp_path / "flow.safetensors"),
        pickle.loads(pickle.dumps(flow)),
        copy.copy(flow),
        flow.astype("float64"),
        flow.part(0),
    ):
        assert isinstance(same, cf.Flow)
        assert (same.columns, same.context_columns) == (("a", "b"), ("z", "w"))
    inner = flow.part(0, 1)
    assert (inner.columns, inner.context_columns) == (None, ("z", "w"))


def test_names_are_given_changed_and_forgotten() -> None:
    flow = cf.maf(2, 1, hidden=(8,), seed=0)
    flow.fit(array("a", "b"), epochs=1, seed=0, progress=False)
    assert flow.columns is None and flow.context_columns is None
    flow.columns = ["u", "v"]  # type: ignore[assignment]
    assert flow.columns == ("u", "v")
    with pytest.raises(ValueError, match="x lacks the columns u, v"):
        flow.log_prob(Table(of(VALUES, "a", "b")))
    flow.columns = None
    flow.log_prob(Table(of(VALUES, "a", "b")))
    wrong: Any
    for wrong in (["u"], ["u", "u"], ["u", "v", "w"], "uv"):
        with pytest.raises(ValueError, match="columns must be 2 different names, got"):
            flow.columns = wrong
    wrong = [1, 2]
    with pytest.raises(TypeError, match="columns must be strings"):
        flow.columns = wrong
    with pytest.raises(AttributeError, match="a Flow has no attribute 'colums' to set"):
        flow.colums = ["u", "v"]  # type: ignore[attr-defined]


def test_a_refused_fit_learns_no_names() -> None:
    flow = cf.maf(2, 1, hidden=(8,), seed=0)
    x = {name: column.copy() for name, column in of(VALUES, "a", "b").items()}
    x["b"][3] = np.nan
    with pytest.raises(ValueError, match="row 3 holds nan in column 1"):
        flow.fit(Table(x), validation=None)
    assert flow.columns is None


def test_columns_without_names_of_their_own_go_by_position() -> None:
    x = Table(of(VALUES, "a", "b"))
    x.columns = range(2)
    flow = cf.maf(2, 1, hidden=(8,), seed=0)
    flow.fit(x, epochs=1, seed=0, progress=False)
    assert flow.columns is None


def test_samples_as_a_table(monkeypatch):
    flow = cf.realnvp(2, context_features=1, layers=2, hidden=8, seed=0)
    context = [[0.0], [1.0], [2.0]]
    rows = flow.sample(4, context, seed=3).reshape(12, 2)
    frame = flow.sample(4, context, seed=3, as_frame=True)
    pd.testing.assert_frame_equal(frame, pd.DataFrame(rows))
    flow.columns = ["mass", "radius"]
    frame = flow.sample(4, [1.0], 3, 2, as_frame=True)
    expected = flow.sample(4, [1.0], seed=3, start=2)
    pd.testing.assert_frame_equal(frame, pd.DataFrame(expected, columns=["mass", "radius"]))
    assert "as_frame : bool" in (cf.Flow.sample.__doc__ or "")
    with pytest.raises(ValueError, match=r"as_frame needs samples that are rows.*\(1, 4, 4\)"):
        cf.glow((1, 4, 4), levels=1, steps=1, channels=4, seed=0).sample(1, as_frame=True)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="as_frame needs pandas: pip install pandas"):
        flow.sample(4, [1.0], as_frame=True)


def test_notes_of_a_fit(tmp_path):
    flow = cf.realnvp(2, layers=2, hidden=8, seed=0)
    assert flow.fitted == {}
    notes = {"rows": 7, "nats": 1.5, "recipe": "realnvp", "none": None}
    flow.fitted = notes
    flow.fitted["rows"] = 8  # of a copy
    flow.save(tmp_path / "flow")
    for again in (flow, copy.deepcopy(flow), pickle.loads(pickle.dumps(flow))):
        assert again.fitted == notes
    assert cf.load(tmp_path / "flow").fitted == notes
    for wrong, error in (({"a": [1]}, TypeError), ({1: 2}, TypeError), ({"a": np.inf}, ValueError)):
        with pytest.raises(error, match="notes"):
            flow.fitted = wrong
    content = (tmp_path / "flow").read_bytes()
    for hostile in ({"a": [1]}, {"a": {"b": 1}}, [1]):
        forged = model_files.forge(content, fitted=hostile)
        with pytest.raises(ValueError, match=r"notes (must|are)|fitted must be of type dict"):
            cf.load(model_files.write(tmp_path / "hostile", forged))


def test_validation_tables_are_matched_in_the_first_fit() -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"a": rng.normal(size=500), "b": 100 + 0.1 * rng.normal(size=500)})
    context = pd.DataFrame({"p": rng.normal(size=500), "q": 50 + rng.normal(size=500)})
    turned, other = table[["b", "a"]][:200].assign(more=1.0), context[["q", "p"]][:200]
    options = {"epochs": 1, "seed": 0, "progress": False}
    for parts in ((turned,), (turned, other)):
        flows = [cf.realnvp(2, 2, seed=0, context_features=2 * (len(parts) - 1)) for _ in range(2)]
        given = [context][: len(parts) - 1]
        ordered = (table[:200], context[:200])[: len(parts)]
        found = flows[0].fit(table, *given, validation=parts, **options)
        assert (
            found.validation
            == flows[1].fit(table, *given, validation=ordered, **options).validation
        )


def test_tables_of_arrow_and_rows_and_numbers_for_names() -> None:
    pa = pytest.importorskip("pyarrow")
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"a": rng.normal(size=300), "b": 100 + 0.1 * rng.normal(size=300)})
    flow = cf.realnvp(2, 2, seed=0)
    flow.fit(pa.Table.from_pandas(table), epochs=1, seed=0, progress=False)
    assert flow.columns == ("a", "b")
    expected = flow.log_prob(table)
    turned = table[["b", "a"]].assign(more=1.0)
    for given in (turned, pa.Table.from_pandas(turned), pa.RecordBatch.from_pandas(turned)):
        np.testing.assert_array_equal(flow.log_prob(given), expected)
    numbered = table.set_axis([0, 1], axis=1)
    plain = cf.realnvp(2, 2, seed=0)
    np.testing.assert_array_equal(plain.log_prob(numbered[[1, 0]]), plain.log_prob(table))
    conditional = cf.realnvp(1, 2, seed=0, context_features=2)
    conditional.fit(table[["a"]], table, epochs=1, seed=0, progress=False)
    row = table.iloc[0]
    np.testing.assert_array_equal(
        conditional.log_prob([[0.0]], row[["b", "a"]]), conditional.log_prob([[0.0]], row)
    )


def test_masked_tables_of_astropy_are_refused() -> None:
    table = pytest.importorskip("astropy.table").Table
    x = table.read("a,b\n1,2\n,3\n", format="ascii.csv")
    with pytest.raises(TypeError, match=r"a table with masked values: write x.to_pandas\(\)"):
        cf.realnvp(2, 2).log_prob(x)
    np.testing.assert_array_equal(
        np.isnan(cf.realnvp(2, 2, seed=0).log_prob(x.to_pandas())), [False, True]
    )
