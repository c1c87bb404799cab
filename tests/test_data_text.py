"""Text tables as people have them: what is read is what pandas reads, or there is a message."""

import gzip
import io
import random
import warnings

import numpy as np
import pandas as pd
import pytest

import cflows as cf
from cflows.data import load_table, save_table

X = np.random.default_rng(0).normal(size=(30, 3)) * [1.0, 1e-3, 1e5]


def written(folder, text, name="t.csv"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def told(path, **options):
    """What is read, and the warnings of it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        array, names = load_table(path, **options)
    assert all(w.category is cf.DataWarning for w in caught)
    return array, names, " ".join(str(w.message) for w in caught)


# -- Numbers -- #


def test_numbers_are_rounded_correctly(tmp_path):
    rng = random.Random(0)
    texts = [repr(rng.uniform(-1, 1) * 10 ** rng.randint(-320, 300)) for _ in range(3000)]
    for _ in range(6000):
        digits = str(rng.randint(0, 10 ** rng.randint(1, 25)))
        point = rng.randint(0, len(digits))
        exponent = rng.choice(["", f"e{rng.randint(-40, 40)}", f"E+{rng.randint(0, 300)}"])
        texts.append(f"{rng.choice('-+ ')}{digits[:point]}.{digits[point:]}{exponent}")
    # Just at, below and above the middle between two numbers.
    for _ in range(1000):
        middle = 2 * rng.randint(2**52, 2**53 - 1) + 1
        shift = rng.randint(0, 9)
        texts += [f"{(middle << shift) + d}" for d in (-1, 0, 1)]
        texts += [f"{(middle << shift) * 10**9 + d}e-9" for d in (-1, 0, 1)]
    texts += [
        "9" * 400,
        "0." + "0" * 400 + "1",
        "1" + "0" * 600 + "e-600",
        "1e400",
        "-1e-400",
        ".5",
        "5.",
    ]
    path = written(tmp_path, "".join(f"{text}\n" for text in texts), "t.txt")
    array, _ = load_table(path, header=False)
    np.testing.assert_array_equal(array[:, 0], [float(text) for text in texts])


def test_what_is_no_number_is_none(tmp_path):
    for cell in ("1_000", "0x1F", "1e", "e5", "+", "1.2.3", "1 2", "٣", "1d5", "in", "1+2", "''"):
        path = written(tmp_path, f"a,b\n1,2\n3,{cell}\n")
        with pytest.raises(ValueError, match=r"line 3: column 2 \(b\): expected a number, got "):
            load_table(path)


# -- Headers -- #


@pytest.mark.parametrize("frame", [
    pd.DataFrame(X),
    pd.DataFrame(X, columns=list("abc")),
    pd.DataFrame(X, columns=[2019, 2020, 2021]),
    pd.DataFrame(X, columns=[0, 1, "label"]),
    pd.DataFrame(X[:, :2]),
    pd.DataFrame(X[:, :1]),
    pd.DataFrame({0: X[:, 0], 1: np.arange(30), 2: X[:, 1]}),
], ids=lambda f: str(list(f)))  # fmt: skip
@pytest.mark.parametrize("index", [False, True])
def test_what_pandas_writes(tmp_path, frame, index):
    path = tmp_path / "t.csv"
    frame.to_csv(path, index=index)
    asked = not index and list(frame.columns) == [2019, 2020, 2021]
    if asked:
        with pytest.raises(
            ValueError,
            match=r"line 1 \(2019, 2020, 2021\) counts up as names of columns may.*header=True",
        ):
            load_table(path)
    array, names, said = told(path, header=True if asked else "auto")
    np.testing.assert_array_equal(array, frame.to_numpy())
    assert names == [str(name) for name in frame.columns]
    assert ("left out the first column" in said) == index
    assert ("taken for the names" in said) == (not index and frame.shape[1] < 3)


@pytest.mark.parametrize(
    ("text", "rows", "names"),
    [
        ("1,2\n3,4\n", 2, None),
        ("1,2,3\n4,5,6\n", 2, None),
        ("3,5,2\n3.5,5,2.5\n", 2, None),
        ("0.0,1.0,2.0\n0.5,0.25,0.125\n", 2, None),
        ("0\n", 1, None),
        ("Ann,3,7\nBob,1,9\n", 2, None),
        ("True,1.5\nFalse,2\n", 2, None),
        ("% made by hand\n// and once again\n1 2\n", 1, None),
        ("%x,y\n1,2\n", 1, ["%x", "y"]),
        ("sep=;\nx;y\n1;2\n", 1, ["x", "y"]),
        ("id,2019,2020\n" + "7,0.5,0.25\n" * 3, 3, ["id", "2019", "2020"]),
        ("# a b c\n1 2 3\n4 5 6\n", 2, ["a", "b", "c"]),
        ("# made by hand\n# x,y\n1,2\n", 1, ["x", "y"]),
        ("#x y\n1,2\n", 1, ["x", "y"]),
        ("# a comment of other length\n1,2\n", 1, None),
        ("x,y\n# between\n1,2\n#3,4\n5,6\n", 2, ["x", "y"]),
    ],
)
def test_first_lines(tmp_path, text, rows, names):
    path = written(tmp_path, text)
    columns = [1, 2] if "Ann" in text else None
    array, found, said = told(path, columns=columns)
    assert (len(array), found, said) == (rows, names, "")


def test_lines_that_may_be_either_are_asked_about(tmp_path):
    for text in (
        "0,1,2\n3,4,5\n",
        "1,oops\n1,2\n",
        "1970,1971,1972\n3,8,1\n",
        "0\n3\n1\n",
        "400,410,420\n" + "0.5,0.25,0.75\n" * 3,
    ):
        path = written(tmp_path, text)
        with pytest.raises(ValueError, match=r"line 1 \(.*header=True .*header=False"):
            load_table(path)
        frame = pd.read_csv(path)
        array, names = load_table(path, header=True)
        np.testing.assert_array_equal(array, frame.to_numpy())
        assert names == list(frame.columns)
    array, names = load_table(path, header=False)
    np.testing.assert_array_equal(array, pd.read_csv(path, header=None).to_numpy())
    assert names is None
    path = written(tmp_path, "name,1970,1971\nx,3,8\ny,9,2\n")
    with pytest.raises(ValueError, match="counts up as names of columns may"):
        load_table(path, columns=[1, 2])
    assert load_table(path, columns=["1971"], header=True)[0].tolist() == [[8], [2]]
    with pytest.raises(ValueError, match="header must be 'auto', True or False, got 'yes'"):
        load_table(path, header="yes")


def test_what_numpy_writes(tmp_path):
    path = tmp_path / "t.txt"
    np.savetxt(path, X, header="a b c")
    array, names = load_table(path)
    np.testing.assert_array_equal(array, np.loadtxt(path))
    assert names == ["a", "b", "c"]
    np.savetxt(path, X, delimiter=",", header="some\na,b,c", comments="", fmt="%.3g")
    with pytest.raises(ValueError, match="line 2: expected 1 cell, got 3"):
        load_table(path)
    np.savetxt(path, X, delimiter=";", header="a b c")
    assert load_table(path)[1] == ["a", "b", "c"]


def test_an_index_is_left_out_unless_it_is_asked_for(tmp_path):
    frame = pd.DataFrame(X, columns=list("abc"))[lambda f: f.a > 0]
    path = tmp_path / "t.csv"
    frame.to_csv(path)
    array, names, said = told(path)
    np.testing.assert_array_equal(array, frame.to_numpy())
    assert names == list("abc") and "no name and numbers the rows" in said
    array, names, said = told(path, columns=[0, "b"])
    np.testing.assert_array_equal(array[:, 0], frame.index)
    assert names == ["", "b"] and said == ""
    pd.read_csv(path).to_csv(path, index=False)  # "Unnamed: 0"
    np.testing.assert_array_equal(told(path)[0], frame.to_numpy())
    frame.set_index("a").rename_axis(None).to_csv(path)  # numbers, not of rows
    assert told(path)[1:] == (["", "b", "c"], "")


def test_units_under_the_header(tmp_path):
    array, names, said = told(written(tmp_path, "ra,mag,id\ndeg,mag,\n1,2,3\n4,5,6\n"))
    np.testing.assert_array_equal(array, [[1, 2, 3], [4, 5, 6]])
    assert names == ["ra", "mag", "id"] and "line 2 (deg, mag, ) is taken for the units" in said
    with pytest.raises(ValueError, match="line 2: column 1"):
        load_table(written(tmp_path, "ra,mag\ndeg,3\n1,2\n"))


# -- Columns -- #


def test_columns_that_are_not_asked_for_may_hold_anything(tmp_path):
    names = ["NGC 1, the first", 'the "second"', "über\nzwei Zeilen", ""]
    frame = pd.DataFrame({"name": names, "a": [1.5, 2, 3, 4], "date": "2020-01-01", "b": range(4)})
    for options in (
        {},
        {"sep": "\t"},
        {"sep": ";", "encoding": "utf-16"},
        {"lineterminator": "\r\n"},
    ):
        path = tmp_path / "t.csv"
        frame.to_csv(path, index=False, **options)
        array, found = load_table(path, columns=["b", "a"])
        np.testing.assert_array_equal(array, frame[["b", "a"]].to_numpy())
        assert found == ["b", "a"]
    message = r"line 2: column 1 \(name\): expected a number, got 'NGC 1, .*columns=, --columns"
    with pytest.raises(ValueError, match=message):
        load_table(path)
    latin = written(tmp_path, "name;a\nM\xfcller;1\n".encode("latin-1"))
    assert load_table(latin, columns=["a"])[0] == [[1.0]]
    with pytest.raises(ValueError, match="no column 'A' among name, a; did you mean a"):
        load_table(latin, columns=["A"])


# -- Missing numbers -- #


def test_spellings_of_missing_numbers_are_those_of_pandas(tmp_path):
    spellings = sorted(pd._libs.parsers.STR_NA_VALUES) + ["-", "--", ".", "?", '""', " "]
    for spelling in spellings:
        text = f"a,b,c\n1,2,3\n4,{spelling},6\n7,8,9\n{spelling},1,2\n"
        path = written(tmp_path, text)
        with pytest.raises(ValueError, match=r"line 3, column 2 \(b\): missing; 2 of 4 rows.*drop"):
            load_table(path)
        array, _, said = told(path, missing="drop")
        np.testing.assert_array_equal(array, [[1, 2, 3], [7, 8, 9]])
        assert "left out 2 of 4 rows" in said
        array, _, said = told(path, missing="nan")
        frame = pd.read_csv(io.StringIO(text), na_values=["-", "--", ".", "?", '""', " "])
        np.testing.assert_array_equal(array, frame.to_numpy(), err_msg=spelling)
        assert said == ""
        np.testing.assert_array_equal(load_table(path, columns=["c"])[0][:, 0], [3, 6, 9, 2])
    with pytest.raises(ValueError, match="missing must be 'error', 'drop' or 'nan', got 'no'"):
        load_table(path, missing="no")


def test_missing_numbers_of_arrays(tmp_path):
    x = X.copy()
    x[4, 1] = np.nan
    np.save(tmp_path / "x.npy", x)
    np.testing.assert_array_equal(load_table(tmp_path / "x.npy")[0], x)
    array, _, said = told(tmp_path / "x.npy", missing="drop")
    np.testing.assert_array_equal(array, np.delete(x, 4, axis=0))
    assert "left out 1 of 30 rows" in said


# -- How it is written -- #


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a;b\n1,5;2\n-2,25;1e3\n", [[1.5, 2], [-2.25, 1000]]),
        ("1,5;2,7\n3,5;4,7\n", [[1.5, 2.7], [3.5, 4.7]]),
        ("1,5\t2,7\n", [[1.5, 2.7]]),
        ('a,b\n"1,5","2,25"\n', [[1.5, 2.25]]),
        ("1.5, 2.5\n 3,4\n", [[1.5, 2.5], [3, 4]]),
        ("  1.5   2.5\n3\t 4  \n", [[1.5, 2.5], [3, 4]]),
        ("a|b\n1|2\n", [[1, 2]]),
        ("a,b,\n1,2,\n3,4,\n", [[1, 2], [3, 4]]),
        ("a,b\n1,2,\n3,4,\n", [[1, 2], [3, 4]]),
        ("1,2,\n3,4,\n", [[1, 2], [3, 4]]),
        ("1,2\r3,4\r", [[1, 2], [3, 4]]),
        ("\n\n1,2\r\n\r\n \r\n3,4", [[1, 2], [3, 4]]),
        ("\ufeffa,b\r\n1,2\r\n", [[1, 2]]),
        ('"a";"b;c"\n"1";"2"\n', [[1, 2]]),
    ],
)
def test_delimiters_and_ends_of_lines(tmp_path, text, expected):
    for encoding in ("utf-8", "utf-16", "utf-32"):
        path = written(tmp_path, text.encode(encoding))
        np.testing.assert_array_equal(load_table(path)[0], expected)
    path = written(tmp_path, gzip.compress(text.encode()), "t.TSV.gz")
    np.testing.assert_array_equal(load_table(path)[0], expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n3,4,5\n", "line 3: expected 2 cells, got 3"),
        ("a,b,\n" + "1,2,\n" * 200 + "1,2,3\n", "line 202: expected 2 cells, got 3"),
        ("a b\n1 2\n3\n", "line 3: expected 2 cells, got 1"),
        ("a;b\n1.234;5\n1,234.5;6\n", "line 3: column 1 .*marks between thousands"),
        ("a;b\n1,234;5\n", "'1,234' has a comma for a decimal point, or one between thousands"),
        ("a;b\n1,5;2\n1.234,5;6\n", "line 3: column 1 .*marks between thousands"),
        ("x\n1,5\n2,7\n", "line 2: expected 1 cell, got 2"),
        ("a\n" + "1\n" * 200_000 + "z\n", "line 200002: column 1"),
        ('a,b\n1,"2\n' + "3,4\n" * 9, "line 2: unexpected end of data"),
        ("a\0,\0b\0\n\0", "expected text, got null characters; UTF-16 must have"),
        ("a,b\n1,2\n\n# c\n3,4\n5,\n", r"line 6, column 2 \(b\): missing; 1 of 3 rows"),
        ('a,b\n"1",2\n\n3,4\n\n\n"x\n",5\n', "line 7: column 1"),
        ("A title\n\na,b\n1,2\n", "line 3: expected 1 cell, got 2; put # before lines above"),
        ("a,b\n1,2\n#VALUE!,3\n", "line 3: column 1 .*got '#VALUE!'"),
    ],
)  # fmt: skip
def test_errors_have_lines(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        load_table(written(tmp_path, text))


def test_decimal_points_may_be_told(tmp_path):
    path = written(tmp_path, "a;b\n1,234;5\n")
    np.testing.assert_array_equal(load_table(path, decimal=",")[0], [[1.234, 5]])
    np.testing.assert_array_equal(
        load_table(written(tmp_path, "x\n1,5\n"), decimal=",")[0], [[1.5]]
    )
    with pytest.raises(ValueError, match=r"decimal must be .*, got .;"):
        load_table(path, decimal=";")


def test_lines_across_chunks(tmp_path, monkeypatch):
    rows = [f'{i},"t, {i}\n",{i}.5' if i % 7 == 0 else f"{i},t,{i}.5" for i in range(200)]
    rows[50:50] = ["", "# a comment", " "]
    path = written(tmp_path, "a,text,b\n" + "\n".join(rows))
    expected = pd.read_csv(path, comment="#").dropna()[["a", "b"]].astype(float)
    for size in (1 << 20, 17, 64):
        monkeypatch.setattr("cflows.data.text_chunks._BYTES", size)
        array, _ = load_table(path, columns=["a", "b"])
        np.testing.assert_array_equal(array, expected.to_numpy())
    path = written(tmp_path, path.read_text() + "\n1,2,x\n")
    line = path.read_text().count("\n")
    with pytest.raises(ValueError, match=f"line {line}: column 3"):
        load_table(path, columns=["a", "b"])


def test_truth_is_1_and_0(tmp_path):
    frame = pd.DataFrame({"a": [True, False, True], "b": [1.5, 2, 3]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    np.testing.assert_array_equal(load_table(tmp_path / "t.csv")[0], frame.to_numpy(float))
    path = written(tmp_path, "a;b\nTRUE;1,5\n FALSE ;2\ntrue;3\nfalse;4\n")
    assert load_table(path)[0].tolist() == [[1, 1.5], [0, 2], [1, 3], [0, 4]]
    with pytest.raises(ValueError, match="got 'Trueish'"):
        load_table(written(tmp_path, "a,b\n1,2\nTrueish,3\n"))


def test_any_bytes_are_read_or_refused(tmp_path):
    parts = [
        b"1",
        b"2.5",
        b"-3e4",
        b",",
        b";",
        b"\t",
        b" ",
        b"\n",
        b"\r\n",
        b'"',
        b"#",
        b"NA",
        b"a",
    ]
    parts += [b"\0", b"\xff", b"1,5", b"|", b"\r", b".", b"e", b"-", b"True", b"%", b"a", b"a,b\n"]
    rng, read = random.Random(0), 0
    for _ in range(500):
        path = written(tmp_path, b"".join(rng.choices(parts, k=rng.randint(0, 40))))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                array, names = load_table(path, missing="nan")
        except ValueError as error:
            assert str(path) in str(error)
            continue
        read += 1
        assert array.ndim == 2 and (names is None or len(names) == array.shape[1])
    assert 20 < read < 480


def test_damaged_gzip(tmp_path):
    whole = gzip.compress(b"a,b\n" + b"1,2\n" * 1000)
    np.testing.assert_array_equal(load_table(written(tmp_path, whole, "t.csv"))[0], [[1, 2]] * 1000)
    for damaged in (whole[:-9], whole[:30] + b"\0" + whole[31:], b"a,b\n1,2\n"):
        with pytest.raises(ValueError, match=r"t\.csv\.gz"):
            load_table(written(tmp_path, damaged, "t.csv.gz"))


@pytest.mark.parametrize("name", ["t.csv.gz", "t.dat.gz"])
def test_gzip_comes_back(tmp_path, name):
    save_table(tmp_path / name, X, columns=["0", "1", "2"])
    array, names = load_table(tmp_path / name)
    np.testing.assert_array_equal(array, X)
    assert names == ["0", "1", "2"]
    assert (tmp_path / name).read_bytes().startswith(b"\x1f\x8b")
