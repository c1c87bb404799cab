"""Tables in pieces: they are read, scored and sampled with the results, places and warnings of the
whole."""

from __future__ import annotations

import gzip
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import feather, parquet

import cflows as cf
from cflows.cli import main
from cflows.data import load_table, save_table
from cflows.data.blocks import blocks
from cflows.data.sources import open_source, write_pieces

ROWS = 40
RNG = np.random.default_rng(0)
X = RNG.normal(size=(ROWS, 4)).round(6)
X[:, 1] = RNG.poisson(3.0, size=ROWS)
NAMES = ["a", "b", "c", "d"]
AT_ONCE = 7


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr("cflows.data.blocks._ROWS", AT_ONCE)
    monkeypatch.setattr("cflows.data.text_chunks._BYTES", 100)


def text(x: np.ndarray) -> str:
    """With lines that are not rows, and a cell over two lines."""
    lines = [",".join(map(str, row)) for row in x.tolist()]
    lines[20:20] = ["# a comment", "", '"1","2","\n3",4']
    return "a,b,c,d\n" + "\n".join(lines)


WITH_ODD_LINE = np.insert(X, 20, [1, 2, 3, 4], axis=0)


def to_arrow(x: np.ndarray) -> pa.Table:
    return pa.table(dict(zip(NAMES, x.T, strict=True)))


def to_hdf5(path: Path, x: np.ndarray, kind: str) -> None:
    with h5py.File(path, "w") as file:
        if kind == "columns":
            for name, column in zip(NAMES, x.T, strict=True):
                file.create_dataset(name, data=column, chunks=(3,))
        elif kind == "records":
            file["data"] = np.array([(a, [b, c], d) for a, b, c, d in x], "f8, (2,)f8, f8")
        else:
            file.create_dataset("data", data=x, chunks=(3, 2), compression="gzip")


def first_version(path: Path, x: np.ndarray) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        feather.write_feather(to_arrow(x), path, version=1)


WRITERS: dict[str, Callable[[Path, np.ndarray], object]] = {
    "x.npy": lambda path, x: np.save(path, x),
    "x.npz": save_table,
    "x.csv": lambda path, x: path.write_text(text(x)),
    "x.csv.gz": lambda path, x: path.write_bytes(gzip.compress(text(x).encode())),
    "utf16.csv": lambda path, x: path.write_text(text(x), encoding="utf-16"),
    "x.parquet": lambda path, x: parquet.write_table(to_arrow(x), path, row_group_size=9),
    "x.feather": lambda path, x: feather.write_feather(to_arrow(x), path, chunksize=9),
    "first.feather": first_version,
    "x.fits": lambda path, x: save_table(path, x, NAMES),
    "mapped.h5": lambda path, x: save_table(path, x, NAMES),
    "packed.h5": lambda path, x: to_hdf5(path, x, "packed"),
    "columns.h5": lambda path, x: to_hdf5(path, x, "columns"),
    "records.h5": lambda path, x: to_hdf5(path, x, "records"),
}


def write(folder: Path, name: str, x: np.ndarray = X) -> tuple[Path, np.ndarray]:
    """A table, and what is in it."""
    WRITERS[name](folder / name, x)
    return folder / name, WITH_ODD_LINE if ".csv" in name else x


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Conditional, and of integers: the noise of a row must not depend on where pieces end."""
    path, columns = tmp_path / "m.safetensors", [cf.real, cf.count]
    flow = cf.realnvp(2, 2, hidden=(8,), context_features=1, columns=columns, seed=0)
    flow.columns, flow.context_columns = ["d", "b"], ["c"]
    flow.save(path)
    return path


@pytest.mark.filterwarnings("ignore:Feather V1:DeprecationWarning")
@pytest.mark.parametrize("name", WRITERS)
def test_pieces_are_the_rows(tmp_path: Path, name: str) -> None:
    path, x = write(tmp_path, name)
    parts: list[float] = []
    for columns in ([0, 1, 2, 3], [2], [3, 0], [1, 3]):
        source = open_source(str(path))
        whole = source.read(columns)
        np.testing.assert_array_equal(whole.array, x[:, columns])
        parts.clear()
        source.progress = parts.append
        start = 0
        for piece in source.pieces(columns):
            stop = start + len(piece.array)
            assert 0 < len(piece.array) <= AT_ONCE
            np.testing.assert_array_equal(piece.array, x[start:stop, columns])
            for row in range(stop - start):
                assert piece.place(row) == whole.place(start + row)
            for what in ("names", "columns", "marked"):
                assert getattr(piece, what) == getattr(whole, what)
            assert piece.array.dtype == whole.array.dtype
            assert "gz" in name or abs(parts[-1] - stop / len(x)) < 0.4
            start = stop
        assert start == len(x)
        assert parts == sorted(parts) and parts[-1] == 1.0 and len(parts) > 3


@pytest.mark.parametrize("name", WRITERS)
def test_tables_without_rows_are_a_piece(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if ".csv" in name:
        path.write_bytes(gzip.compress(b"a,b,c,d\n") if "gz" in name else b"a,b,c,d\n")
    elif name == "packed.h5":
        with h5py.File(path, "w") as file:
            file.create_dataset("data", (0, 4), "f8", maxshape=(None, 4))
    elif name == "columns.h5":
        with h5py.File(path, "w") as file:
            file.update({key: np.empty(0) for key in NAMES})
    else:
        WRITERS[name](path, X[:0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Feather's first version
        (piece,) = open_source(str(path)).pieces([1, 2])
    assert piece.array.shape == (0, 2)


def test_blocks_are_of_one_size() -> None:
    for sizes in ([40], [7] * 5 + [5], [0, 3, 0, 30, 7, 0], [1] * 40, [0], [14, 0]):
        arrays = np.split(X[: sum(sizes)], np.cumsum(sizes)[:-1])
        found = list(blocks(arrays, AT_ONCE))
        assert all(len(block) == AT_ONCE for block in found[:-1])
        assert len(found[-1]) > 0 or len(found) == 1
        np.testing.assert_array_equal(np.concatenate(found), X[: sum(sizes)])


# -- Scores -- #


@pytest.mark.filterwarnings("ignore:Feather V1:DeprecationWarning")
@pytest.mark.parametrize("name", WRITERS)
def test_scores_are_those_of_one_call(tmp_path: Path, model: Path, name: str) -> None:
    path, x = write(tmp_path, name)
    out = tmp_path / "scores.npy"
    chosen = ["--columns", "3,1", "--context-columns", "2"]
    assert main(["log-prob", str(model), str(path), "-o", str(out), *chosen]) == 0
    expected = cf.load(model).log_prob(x[:, [3, 1]], x[:, [2]])
    np.testing.assert_array_equal(np.load(out)[:, 0], expected)


@pytest.mark.parametrize("name", ["x.csv", "x.parquet"])
def test_scores_by_position_and_of_marginals(tmp_path: Path, name: str) -> None:
    path, x = write(tmp_path, name)
    model, out = tmp_path / "m.safetensors", tmp_path / "scores.npy"
    flow = cf.Flow([cf.Affine([1.0] * 4, [2.0] * 4)], 4, dtype="float64", seed=0)
    flow.save(model)
    for options in ([], ["--missing", "marginal"], ["--missing", "drop"]):
        assert main(["log-prob", str(model), str(path), "-o", str(out), *options]) == 0
        np.testing.assert_allclose(np.load(out)[:, 0], flow.log_prob(x), rtol=1e-13)


# -- What is said -- #


def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Runs what fails, and returns why."""
    capsys.readouterr()
    assert main(list(map(str, arguments))) == 1
    return capsys.readouterr().err


def with_gaps(x: np.ndarray) -> np.ndarray:
    gaps = x.copy()
    gaps[[17, 18, 30], 2] = np.nan
    return gaps


@pytest.mark.parametrize("name", ["gaps.csv", "x.parquet", "x.feather", "x.fits"])
def test_gaps_in_later_pieces_have_their_places(
    tmp_path: Path, model: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / name, tmp_path / "out.npy"
    if name == "gaps.csv":
        frame = pd.DataFrame(with_gaps(X), columns=NAMES)
        path.write_text("# comment\n" + frame.to_csv(index=False))
    else:
        WRITERS[name](path, with_gaps(X))
    place = "line 20" if name == "gaps.csv" else "row 17"
    out.write_text("of yesterday")
    score = ["log-prob", model, path, "-o", out]
    expected = f"{name}, {place}, column 3 (c): missing; 3 of 40 rows lack a number"
    assert expected in said(capsys, *score)
    flow = cf.load(model)
    sample = ["sample", model, "-n", 3, "-o", out, "--seed", 1, "--context", path]
    assert expected in said(capsys, *sample)
    assert out.read_text() == "of yesterday"
    assert main([*map(str, sample), "--missing", "drop"]) == 0
    told = capsys.readouterr()
    assert told.err.count("warning") == 1 and "left out 3 of 40 rows" in told.err
    assert "111 rows of 2" in told.out
    kept = np.delete(X, [17, 18, 30], axis=0)
    expected_rows = flow.sample(3, kept[:, [2]], seed=1).reshape(-1, 2)
    np.testing.assert_array_equal(np.load(out), expected_rows)
    assert main([*map(str, score), "--missing", "drop"]) == 0
    assert "rows without a finite log_prob: 3" in capsys.readouterr().err
    assert np.flatnonzero(np.isnan(np.load(out)[:, 0])).tolist() == [17, 18, 30]


def test_a_cell_of_a_later_piece_is_told_with_its_line(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / "x.csv", tmp_path / "out.csv"
    path.write_text(text(X) + "\n1,2,oops,4\n")
    out.write_text("of yesterday")
    line = path.read_text().count("\n")
    error = said(capsys, "log-prob", model, path, "-o", out)
    assert f"line {line}: column 3 (c): expected a number, got 'oops'" in error
    error = said(capsys, "sample", model, "-n", 2, "-o", out, "--context", path)
    assert f"line {line}: column 3 (c): expected a number" in error
    assert out.read_text() == "of yesterday" and not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("name", ["x.csv", "x.parquet"])
def test_an_index_is_one_by_all_of_its_numbers(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path, model, out = tmp_path / name, tmp_path / "m.safetensors", tmp_path / "out.npy"
    flow = cf.Flow([cf.Affine()], 2, seed=0)
    flow.save(model)
    frame = pd.DataFrame(X[:, 2:], columns=["a", "b"], index=np.arange(ROWS)[::-1])

    def rewrite(frame: pd.DataFrame) -> None:
        frame.to_csv(path) if name == "x.csv" else frame.to_parquet(path)

    rewrite(frame)
    assert main(["log-prob", str(model), str(path), "-o", str(out)]) == 0
    assert capsys.readouterr().err.count("which has no name and numbers the rows") == 1
    np.testing.assert_array_equal(np.load(out)[:, 0], flow.log_prob(X[:, 2:]))
    frame.index = [*range(1, ROWS), 1]
    rewrite(frame)
    assert "expected 2 columns, as the model learned, got 3" in said(
        capsys, "log-prob", model, path, "-o", out
    )


# -- Samples -- #


@pytest.mark.parametrize("name", ["new.npy", "new.csv", "new.tsv.gz", "new.npz", "new.parquet"])
@pytest.mark.parametrize("number", [0, 1, AT_ONCE, 20])
def test_samples_are_those_of_one_call(tmp_path: Path, model: Path, name: str, number: int) -> None:
    flow, out = cf.load(model), tmp_path / name
    contexts = tmp_path / "contexts.csv"
    contexts.write_text(text(X))
    sample = ["sample", str(model), "-n", str(number), "-o", str(out), "--seed=3"]
    for context, given in (("0.5", [[0.5]]), (str(contexts), WITH_ODD_LINE[:, [2]])):
        assert main([*sample, "--context", context]) == 0
        expected = flow.sample(number, given, seed=3).reshape(-1, 2)
        np.testing.assert_array_equal(load_table(out)[0].astype(expected.dtype), expected)
    flow = cf.Flow([cf.Affine()], 2, seed=0)
    flow.columns = ["a", "b"]
    flow.save(model)
    assert main(sample) == 0
    expected = flow.sample(number, seed=3)
    np.testing.assert_array_equal(load_table(out)[0].astype("f4"), expected)


def test_a_file_of_pieces_is_that_of_numpy(tmp_path: Path) -> None:
    for dtype, rows in (("f4", ROWS), (">f8", 1), ("i8", 0), ("f8", ROWS)):
        x = X[:rows].astype(dtype)
        np.save(tmp_path / "whole.npy", x)
        write_pieces(tmp_path / "pieces.npy", blocks([x], AT_ONCE), None)
        written = (tmp_path / "pieces.npy").read_bytes()
        assert written == (tmp_path / "whole.npy").read_bytes()


@pytest.mark.parametrize("name", ["x.npy", "x.csv", "x.csv.gz"])
def test_pieces_are_written_as_they_come(tmp_path: Path, name: str) -> None:
    sizes = []

    def pieces():
        for _ in range(30):
            sizes.extend(path.stat().st_size for path in tmp_path.iterdir())
            yield RNG.normal(size=(5000, 4))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_pieces(tmp_path / name, pieces(), NAMES)
    assert len(set(sizes)) > 10 and max(sizes) > 10 * 5000 * 4
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Interrupted(cf.Flow):
        calls = 0

        def _call(self, function, *arguments, **options):
            Interrupted.calls += 1
            if Interrupted.calls % 3 == 0:
                raise KeyboardInterrupt
            return function(*arguments, **options)

        def log_prob(self, *arguments, **options):
            return self._call(super().log_prob, *arguments, **options)

        def sample(self, *arguments, **options):
            return self._call(super().sample, *arguments, **options)

    flow = Interrupted([cf.Affine()], 4, seed=0)
    monkeypatch.setattr("cflows.cli.options.read_flow", lambda path: flow)
    path, _ = write(tmp_path, "x.csv")
    for name in ("out.npy", "out.csv", "out.parquet"):
        out = tmp_path / name
        out.write_text("of yesterday")
        before = sorted(os.listdir(tmp_path))
        capsys.readouterr()
        assert main(["log-prob", "m", str(path), "-o", str(out)]) == 130
        assert main(["sample", "m", "-n", "30", "-o", str(out)]) == 130
        assert capsys.readouterr() == ("", "cflows: interrupted\n" * 2)
        assert sorted(os.listdir(tmp_path)) == before and out.read_text() == "of yesterday"
