"""Columns of labels in files: what is read of them, and what the command line makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cflows as cf
from cflows.cli import main
from cflows.data.labels import in_order, numbered, to_places
from cflows.data.sources import open_source

pandas = pytest.importorskip("pandas")

KINDS = ["galaxy", "quasar", "star"]
QUICK = ["--recipe", "maf", "--epochs", "2", "--layers", "2", "--hidden", "8", "--quiet"]


def stars(n: int = 300) -> Any:
    rng = np.random.default_rng(0)
    kind, survey = rng.integers(0, 3, n), rng.integers(8, 12, n)
    flux = 4.0 * kind + survey + rng.normal(size=n)
    return pandas.DataFrame({"kind": np.array(KINDS)[kind], "flux": flux, "survey": survey})


def write(table: Any, path: Path) -> Path:
    if path.suffix == ".parquet":
        pytest.importorskip("pyarrow")
        table.to_parquet(path, index=False)
    elif path.suffix == ".feather":
        pytest.importorskip("pyarrow")
        table.to_feather(path)
    elif path.suffix == ".fits":
        astropy = pytest.importorskip("astropy.table")
        astropy.Table.from_pandas(table).write(path)
    elif path.suffix == ".h5":
        h5py = pytest.importorskip("h5py")
        with h5py.File(path, "w") as file:
            for name in table:
                text = table[name].dtype.kind not in "if"
                file[name] = list(table[name]) if text else table[name].to_numpy()
    else:
        table.to_csv(path, index=False)
    return path


FILES = ["x.csv", "x.csv.gz", "x.parquet", "x.feather", "x.fits", "x.h5"]


@pytest.mark.parametrize("name", FILES)
def test_labels_are_read_as_numbers_for_them(tmp_path: Path, name: str) -> None:
    table = stars()
    source = open_source(str(write(table, tmp_path / name)))
    kind, survey = source.names.index("kind"), source.names.index("survey")
    rows = source.read([kind, survey], [kind, survey])
    assert rows.labels[kind] == list(dict.fromkeys(table["kind"]))
    assert rows.labels[survey] == list(dict.fromkeys(map(str, table["survey"])))
    for i, column in enumerate(("kind", "survey")):
        labels = np.array(rows.labels[rows.columns[i]])
        found = labels[rows.array[:, i].astype(int)]
        np.testing.assert_array_equal(found, table[column].astype(str))
    known = {kind: tuple(KINDS), survey: in_order(rows.labels[survey])}
    assert known[survey] == ("8", "9", "10", "11")
    placed = to_places(rows, known, "x").array
    np.testing.assert_array_equal(placed[:, 0], [KINDS.index(k) for k in table["kind"]])
    np.testing.assert_array_equal(placed[:, 1], table["survey"] - 8)


def test_cells_of_labels(tmp_path: Path) -> None:
    """Quotes, marks and lines in them, blanks around them, and what is missing."""
    path = tmp_path / "x.csv"
    path.write_text('kind,x\n a b ,1\n"a, ""b""",2\nNA,3\n"a\nb",4\n"a b",5\n,6\né,7\n# é,8\n')
    rows = open_source(str(path)).read([0, 1], [0])
    assert rows.labels == {0: ["a b", 'a, "b"', "a\nb", "é"]}
    nan = np.nan
    np.testing.assert_array_equal(rows.array[:, 0], [0, 1, nan, 2, 0, nan, 3])
    np.testing.assert_array_equal(rows.array[:, 1], np.arange(1.0, 8.0))


def test_labels_over_several_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cflows.data.text_chunks._BYTES", 64)
    table = stars()
    rows = open_source(str(write(table, tmp_path / "x.csv"))).read([0], [0])
    np.testing.assert_array_equal(
        np.array(rows.labels[0])[rows.array[:, 0].astype(int)], table.kind
    )


@pytest.mark.parametrize("name", FILES)
def test_labels_in_pieces(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cflows.data.blocks._ROWS", 32)
    table = stars()
    source = open_source(str(write(table, tmp_path / name)))
    kind = source.names.index("kind")
    pieces = list(source.pieces([kind], [kind]))
    assert len(pieces) > 5
    found = [np.array(p.labels[kind])[p.array[:, 0].astype(int)] for p in pieces]
    np.testing.assert_array_equal(np.concatenate(found), table["kind"])


@pytest.mark.parametrize("name", FILES[:-1])
def test_samples_are_written_with_labels(tmp_path: Path, name: str) -> None:
    flow = cf.maf(2, 1, hidden=(8,), columns=[cf.categorical(KINDS), cf.real], seed=0)
    flow.columns = ("kind", "flux")
    model, out = tmp_path / "m.safetensors", tmp_path / name
    flow.save(model)
    assert main(["sample", str(model), "-n", "50", "-o", str(out), "--seed", "3"]) == 0
    expected = flow.sample(50, seed=3, as_frame=True)
    rows = open_source(str(out)).read([0, 1], [0])
    np.testing.assert_array_equal(
        np.array(rows.labels[0])[rows.array[:, 0].astype(int)], expected.kind
    )
    np.testing.assert_array_equal(rows.array[:, 1], expected.flux)
    scores = tmp_path / "scores.npy"
    assert main(["log-prob", str(model), str(out), "-o", str(scores)]) == 0
    np.testing.assert_array_equal(np.load(scores)[:, 0], flow.log_prob(expected))


def test_labels_of_contexts_that_are_missing(tmp_path: Path) -> None:
    flow = cf.maf(
        2, 1, hidden=(8,), columns=[cf.categorical(KINDS), cf.real], context_features=1, seed=0
    )
    frame = flow.sample(2, [[0.5], [np.nan]], seed=0, as_frame=True)
    assert frame.isna().all(axis=1).tolist() == [False, False, True, True]


def test_values_that_are_missing_have_no_number() -> None:
    labels: dict[str, int] = {}
    numbers = numbered(["a", None, float("nan"), "", b"b ", 2.0, 2, True, "NA", "a"], labels)
    assert list(labels) == ["a", "b", "2", "True"]
    nan = np.nan
    np.testing.assert_array_equal(numbers, [0, nan, nan, nan, 1, 2, 2, 3, nan, 0])


@pytest.mark.parametrize("name", FILES)
def test_the_command_line_fits_labels(tmp_path: Path, name: str) -> None:
    table = stars()
    path, model, out = write(table, tmp_path / name), tmp_path / "m.safetensors", tmp_path / "o.npy"
    options = ["--columns", "kind,flux,survey", "--categorical", "kind"]
    assert main(["fit", str(path), "-o", str(model), *options, *QUICK]) == 0
    flow = cf.load(model)
    assert flow.categories == (tuple(KINDS), None, None)
    assert main(["log-prob", str(model), str(path), "-o", str(out)]) == 0
    np.testing.assert_array_equal(np.load(out)[:, 0], flow.log_prob(table))


@pytest.mark.parametrize("name", ["x.csv", "x.parquet"])
def test_the_command_line_takes_labels_of_contexts(tmp_path: Path, name: str) -> None:
    table = stars()
    path, model, out = write(table, tmp_path / name), tmp_path / "m.safetensors", tmp_path / "o.npy"
    options = ["--categorical", "kind,survey", "--context-columns", "kind,survey"]
    assert main(["fit", str(path), "-o", str(model), *options, *QUICK]) == 0
    flow = cf.load(model)
    assert flow.context_categories == (tuple(KINDS), ("8", "9", "10", "11"))
    assert main(["log-prob", str(model), str(path), "-o", str(out)]) == 0
    np.testing.assert_array_equal(np.load(out)[:, 0], flow.log_prob(table, table))
    expected = flow.sample(4, np.array([1.0, 2.0]), seed=3)
    for given in ("quasar,10", "survey=10,kind=quasar"):
        arguments = ["-n", "4", "-o", str(out), "--seed", "3", "--context", given]
        assert main(["sample", str(model), *arguments]) == 0
        np.testing.assert_array_equal(np.load(out), expected)
    arguments = ["-n", "2", "-o", str(out), "--seed", "3", "--context", str(path)]
    assert main(["sample", str(model), *arguments]) == 0
    np.testing.assert_array_equal(np.load(out), flow.sample(2, table, seed=3).reshape(-1, 1))


def test_labels_by_position(tmp_path: Path) -> None:
    """Of a model without names."""
    table = stars()
    flow = cf.maf(2, 1, hidden=(8,), columns=[cf.categorical(KINDS), cf.real], seed=0)
    flow.save(tmp_path / "m.safetensors")
    path = write(table[["kind", "flux"]], tmp_path / "x.csv")
    out = tmp_path / "o.npy"
    assert main(["log-prob", str(tmp_path / "m.safetensors"), str(path), "-o", str(out)]) == 0
    np.testing.assert_array_equal(np.load(out)[:, 0], flow.log_prob(table[["kind", "flux"]]))


def test_integers_are_categories_of_the_context(tmp_path: Path) -> None:
    table = stars().assign(kind=lambda t: [KINDS.index(k) for k in t.kind])
    path, model = write(table, tmp_path / "x.csv"), tmp_path / "m.safetensors"
    options = ["--categorical", "kind:3", "--context-columns", "kind"]
    assert main(["fit", str(path), "-o", str(model), *options, *QUICK]) == 0
    assert cf.load(model).embedding == cf.Embedding(categories=[3])


def fails(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main([*map(str, arguments)]) == 1
    return capsys.readouterr().err


def test_what_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = stars(1100)
    path, model = write(table, tmp_path / "x.csv"), tmp_path / "m.safetensors"
    fit = ["fit", path, "-o", model, *QUICK]
    assert "or fit labels (--categorical)" in fails(capsys, *fit)
    said = fails(capsys, *fit, "--columns", "flux", "--categorical", "kind")
    assert "column 'kind' is none of those to learn" in said
    said = fails(capsys, *fit, "--categorical", "kind,flux")
    assert "x.csv: column 2: labels must be 2 to 1024, all different, got 1100" in said
    context = ["--categorical", "kind", "--context-columns", "survey", "--count", "survey"]
    said = fails(capsys, *fit, *context)
    assert "is one of the context, whose columns are any numbers or categories, got count" in said
    said = fails(capsys, *fit, "--categorical", "kind", "--ordinal", "kind:3")
    assert "what column 'kind' holds is said twice" in said


def test_labels_that_the_model_lacks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = stars()
    path, model = write(table, tmp_path / "x.csv"), tmp_path / "m.safetensors"
    assert main([*map(str, ["fit", path, "-o", model, "--categorical", "kind", *QUICK])]) == 0
    score = ["log-prob", model, tmp_path / "other.csv", "-o", tmp_path / "o.csv"]
    write(table.assign(kind=["star"] * 5 + ["comet"] * 295), tmp_path / "other.csv")
    expected = "line 7: column 1 (kind): expected one of its categories galaxy, quasar, star, got"
    assert f"{expected} 'comet'" in fails(capsys, *score)
    write(table.assign(kind=["star"] * 5 + [None] + ["star"] * 294), tmp_path / "other.csv")
    assert "line 7, column 1 (kind): missing; 1 of 300 rows" in fails(capsys, *score)
    assert main([*map(str, score), "--missing", "nan"]) == 0
    scores = np.loadtxt(tmp_path / "o.csv", skiprows=1)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(scores)), [5])
