"""Tables in the formats of other libraries, written by these and read here, and the other way."""

import sys

import h5py
import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from astropy.table import MaskedColumn, Table

import cflows as cf
from cflows.cli import main
from cflows.data import load_table, save_table

X = np.random.default_rng(0).normal(size=(20, 3))
NAMES = ["a", "b c", "ü"]
ENDINGS = [".parquet", ".feather", ".fits", ".h5", ".hdf5"]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("dtype", ["f8", "f4", ">f8", "i4", "u1", "g"])
def test_tables_come_back(tmp_path, ending, dtype):
    table, path = (X * 9).clip(0, 200).astype(dtype), tmp_path / f"t{ending}"
    names = NAMES[:2] + ["z"] if ending == ".fits" else NAMES  # of ASCII
    save_table(path, table, columns=names)
    array, found = load_table(path)
    np.testing.assert_array_equal(array, table)
    assert found == names
    kept = dtype if ending in (".h5", ".hdf5") else "f4" if dtype == "f4" else "f8"
    assert array.dtype == kept
    array, found = load_table(path, columns=[2, "a"])
    np.testing.assert_array_equal(array, table[:, [2, 0]])
    assert found == [names[2], "a"]
    save_table(path, table[:0])
    assert load_table(path)[0].shape == (0, 3)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("ending", [".parquet", ".feather"])
def test_what_pandas_writes(tmp_path, ending):
    path = tmp_path / f"t{ending}"
    frame = pd.DataFrame({
        "name": ["x"] * 5,
        "count": pd.array([1, None, 3, 4, 5], dtype="Int64"),
        "flag": pd.array([True, False, None, True, True], dtype="boolean"),
        "f": np.array([1.5, 2, 3, np.nan, 5], "f4"),
        "i": np.arange(5),
    })  # fmt: skip
    write = frame.to_parquet if ending == ".parquet" else frame.to_feather
    write(path)
    chosen = ["f", "count", "flag", "i"]
    expected = frame[chosen].astype("Float64").to_numpy(np.float64, na_value=np.nan)
    np.testing.assert_array_equal(load_table(path, chosen, missing="nan")[0], expected)
    with pytest.raises(ValueError, match=r"row 1, column 2 \(count\): missing; 3 of 5 rows"):
        load_table(path, chosen)
    with pytest.warns(cf.DataWarning, match="left out 3 of 5 rows"):
        array, _ = load_table(path, chosen, missing="drop")
    np.testing.assert_array_equal(array, expected[[0, 4]])
    with pytest.raises(ValueError, match=r"column 1 \(name\): expected numbers, got .*string;"):
        load_table(path)
    if ending == ".parquet":
        pd.DataFrame(X, columns=NAMES)[lambda x: x.a > 0].to_parquet(path)
        with pytest.warns(cf.DataWarning, match="left out the last column, which has no name"):
            array, names = load_table(path)
        np.testing.assert_array_equal(array, X[X[:, 0] > 0])
        assert names == NAMES


def test_fits_tables(tmp_path):
    path = tmp_path / "t.fits"
    table = Table(
        {
            "name": ["x", "yy"] * 10,
            "a": X[:, 0].astype(">f4"),
            "n": MaskedColumn(np.arange(20, dtype="i4"), mask=np.arange(20) == 3, fill_value=-99),
            "v": X[:, :2],
            "flag": np.arange(20) % 2 == 0,
        }
    )
    table.write(path)
    array, names = load_table(path, ["a", "v[0]", "v[1]", "flag"])
    assert names == ["a", "v[0]", "v[1]", "flag"] and array.dtype == np.float64
    np.testing.assert_array_equal(array[:, 0], X[:, 0].astype("f4"))
    np.testing.assert_array_equal(array[:, 1:3], X[:, :2])
    np.testing.assert_array_equal(array[:, 3], np.arange(20) % 2 == 0)
    with pytest.raises(ValueError, match=r"row 3, column 3 \(n\): missing; 1 of 20"):
        load_table(path, ["n"])
    numbers = load_table(path, ["n"], missing="nan")[0][:, 0]
    assert np.flatnonzero(np.isnan(numbers)).tolist() == [3] and np.nansum(numbers) == 190 - 3
    with pytest.raises(ValueError, match=r"column 1 \(name\): expected numbers"):
        load_table(path)
    units = [fits.PrimaryHDU(X), fits.table_to_hdu(Table(X)), fits.table_to_hdu(Table(X * 2))]
    units[1].name, units[2].name = "FIRST", "SECOND"
    fits.HDUList(units).writeto(path, overwrite=True)
    np.testing.assert_array_equal(load_table(f"{path}:second")[0], X * 2)
    np.testing.assert_array_equal(load_table(f"{path}:1")[0], X)
    with pytest.raises(ValueError, match=r"pick one of its tables, as in .*FIRST"):
        load_table(path)
    with pytest.raises(ValueError, match="0 tables 'third' among FIRST, SECOND"):
        load_table(f"{path}:third")
    fits.PrimaryHDU(X).writeto(path, overwrite=True)
    with pytest.raises(ValueError, match="there is no table in it"):
        load_table(path)


def test_hdf5_files(tmp_path):
    path = tmp_path / "t.h5"
    with h5py.File(path, "w") as file:
        file["sets/plain"] = X
        file.create_dataset("sets/packed", data=X, compression="gzip")
        file["records"] = np.array([(1, [2.5, 3.5]), (4, [5.5, 6.5])], "i4, (2,)f4")
        for name, column in zip("xyz", X.T, strict=True):
            file[f"columns/{name}"] = column
        file["big"] = X.astype(">f8")
        file["text"] = ["a", "b"]
    plain, names = load_table(f"{path}:sets/plain")
    assert isinstance(plain, np.memmap) and names is None and not plain.flags.writeable
    for key in ("sets/plain", "sets/packed", "big", "columns"):
        np.testing.assert_array_equal(load_table(f"{path}:{key}")[0], X, err_msg=key)
    array, names = load_table(f"{path}:columns", ["z", "x"])
    np.testing.assert_array_equal(array, X[:, [2, 0]])
    array, names = load_table(f"{path}:records")
    assert names == ["f0", "f1[0]", "f1[1]"]
    np.testing.assert_array_equal(array, [[1, 2.5, 3.5], [4, 5.5, 6.5]])
    for key, message in (
        ("", "pick one of its data sets or groups, as in .*big, from big, columns/x"),
        (":none", "no 'none' among big, columns/x"),
        (":sets", "not a group of columns of one length"),
        (":text", "expected real numbers, got dtype object"),
    ):
        with pytest.raises(ValueError, match=message):
            load_table(f"{path}{key}")
    with h5py.File(path, "w") as file:
        file.update(dict(zip("xyz", X.T, strict=True)))
    array, names = load_table(path)
    np.testing.assert_array_equal(array, X)
    assert names == ["x", "y", "z"]
    images = np.arange(24.0).reshape(2, 3, 4)
    save_table(path, images)
    np.testing.assert_array_equal(load_table(path)[0], images)


@pytest.mark.filterwarnings("ignore:.*:astropy.io.fits.verify.VerifyWarning")
@pytest.mark.parametrize("ending", ENDINGS)
def test_files_that_are_none(tmp_path, ending, monkeypatch):
    path = tmp_path / f"t{ending}"
    with pytest.raises(FileNotFoundError, match=path.name):
        load_table(path)
    path.write_bytes(b"not a table")
    with pytest.raises(ValueError, match=path.name):
        load_table(path)
    whole = tmp_path / f"whole{ending}"
    save_table(whole, X, NAMES[:2] + ["z"])
    path.write_bytes(whole.read_bytes()[:200])
    with pytest.raises(ValueError, match=path.name):
        load_table(path)
    if ending not in (".h5", ".hdf5"):
        with pytest.raises(ValueError, match=r"rows and columns, got shape \(2, 2, 2\)"):
            save_table(path, np.zeros((2, 2, 2)))
    for module in ("pyarrow", "astropy", "astropy.io.fits", "h5py"):
        monkeypatch.setitem(sys.modules, module, None)
    for attempt in (lambda: load_table(whole), lambda: save_table(path, X)):
        with pytest.raises(ImportError, match=r"pip install 'cflows\[tables\]'"):
            attempt()


def test_the_command_line_takes_them(tmp_path, capsys):
    table, model = tmp_path / "x.parquet", tmp_path / "m.safetensors"
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    frame.assign(name="star").to_parquet(table)
    fit = ["fit", str(table), "-o", str(model), "--quiet", "--epochs=1", "--hidden=8"]
    assert main(fit) == 1
    assert "expected numbers, got" in capsys.readouterr().err
    assert main([*fit, "--columns", "b,a", "--context-columns", "c"]) == 0
    flow = cf.load(model)
    assert (flow.columns, flow.context_columns) == (("b", "a"), ("c",))
    for ending in (".h5", ".feather"):
        out = tmp_path / f"s{ending}"
        assert main(["log-prob", str(model), str(table), "-o", str(out)]) == 0
        expected = flow.log_prob(X[:, [1, 0]], X[:, 2:])
        np.testing.assert_array_equal(load_table(out)[0][:, 0], expected)


def test_hdf5_groups_with_vectors_and_data_sets_without_data(tmp_path):
    h5py = pytest.importorskip("h5py")
    a, v = np.arange(5.0), np.arange(10.0).reshape(5, 2)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["g/a"], file["g/v"] = a, v
        file["nothing"] = h5py.Empty("f8")
        file["one"] = 3.0
    array, names = load_table(f"{tmp_path / 'x.h5'}:g")
    assert names == ["a", "v[0]", "v[1]"]
    np.testing.assert_array_equal(array, np.column_stack([a, v]))
    array, _ = load_table(f"{tmp_path / 'x.h5'}:g", columns=["v[1]", "a"])
    np.testing.assert_array_equal(array, np.column_stack([v[:, 1], a]))
    for name in ("nothing", "one"):
        with pytest.raises(ValueError, match=f"/{name} is no table: it has no rows"):
            load_table(f"{tmp_path / 'x.h5'}:{name}")
