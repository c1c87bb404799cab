"""Tables through every format and back, and what is said of files that are none."""

import os
import stat
import zipfile

import numpy as np
import pytest

from cflows import data
from cflows.atomic import atomic_write

AWKWARD = np.array(
    [[0.1, 1 / 3, 5e-324], [np.nan, np.inf, -np.inf], [-0.0, 1.7976931348623157e308, 2.0**53 + 2]]
)


TEXT = [".csv", ".tsv", ".CSV", ".txt"]


@pytest.mark.parametrize("suffix", [".npy", ".npz", *TEXT])
@pytest.mark.parametrize("dtype", ["f8", ">f8", "f4", "f2", "i8", "u1", "?"])
def test_tables_come_back_bit_for_bit(tmp_path, suffix, dtype):
    with np.errstate(over="ignore", invalid="ignore"):
        table = AWKWARD.astype(dtype)
    path = tmp_path / f"table{suffix}"
    data.save_table(path, np.asfortranarray(table), columns=["a", "b c", 'd,";\té'])
    loaded, names = data.load_table(path, missing="nan")
    text = suffix in TEXT
    assert loaded.dtype == (np.float64 if text else table.dtype)
    np.testing.assert_array_equal(loaded, table)
    np.testing.assert_array_equal(np.signbit(loaded), np.signbit(table.astype(np.float64)))
    assert names == (None if suffix == ".npy" else ["a", "b c", 'd,";\té'])
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".csv"])
@pytest.mark.parametrize(("shape", "expected"), [((5,), (5, 1)), ((0, 3), (0, 3))])
def test_vectors_and_empty_tables(tmp_path, suffix, shape, expected):
    path = str(tmp_path / f"table{suffix}")
    data.save_table(path, np.ones(shape), columns=["abc"[i] for i in range(expected[1])])
    array, _ = data.load_table(path)
    np.testing.assert_array_equal(array, np.ones(expected))


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_images_keep_their_shape(tmp_path, suffix):
    images = np.arange(2 * 3 * 4 * 5, dtype=np.uint8).reshape(2, 3, 4, 5)
    data.save_table(tmp_path / f"images{suffix}", images)
    array, names = data.load_table(tmp_path / f"images{suffix}")
    np.testing.assert_array_equal(array, images)
    assert names is None


def test_npy_is_mapped_not_read(tmp_path):
    path = tmp_path / "large.npy"
    # 256 GiB, with nothing on disk behind them.
    header = np.lib.format.header_data_from_array_1_0(np.empty((0, 8)))
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, {**header, "shape": (2**32, 8)})
        file.truncate(file.tell() + 2**32 * 64)
    array, _ = data.load_table(path)
    assert isinstance(array, np.memmap) and not array.flags.writeable
    assert array[-1].sum() == 0.0


@pytest.mark.parametrize(
    ("text", "expected", "names"),
    [
        ("1,2\n3,4\n", [[1, 2], [3, 4]], None),
        ("x,y\n1,2", [[1, 2]], ["x", "y"]),
        ("x\ty\n1\t2\n", [[1, 2]], ["x", "y"]),
        ("x;y\r\n1;2\r\n\r\n3;4\r\n", [[1, 2], [3, 4]], ["x", "y"]),
        ('"x, in m";"y"\n"1";2\n', [[1, 2]], ["x, in m", "y"]),
        ('"a\nb",c\n1,2\n', [[1, 2]], ["a\nb", "c"]),
        ("\ufeffx,y\n1,2\n", [[1, 2]], ["x", "y"]),
        ("\n\n  \n 1 , -2e-3\n", [[1, -0.002]], None),
        (" x , y\n1,2\n", [[1, 2]], ["x", "y"]),
        ("x,,y\n1,2,3\n", [[1, 2, 3]], ["x", "", "y"]),
        ("height\n1\n\n2\n", [[1], [2]], ["height"]),
        ("7", [[7]], None),
        ("x,y\n", np.empty((0, 2)), ["x", "y"]),
        ("inf,-1\n-inf,+Infinity\n", [[np.inf, -1], [-np.inf, np.inf]], None),
    ],
)
def test_text_tables(tmp_path, text, expected, names):
    path = tmp_path / "table.csv"
    path.write_bytes(text.encode())
    array, found = data.load_table(path)
    assert array.dtype == np.float64 and array.ndim == 2 and array.flags.writeable
    np.testing.assert_array_equal(array, expected)
    assert found == names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "expected a table, the file is empty"),
        (b"\n \n", "expected a table, the file is empty"),
        (b"x,y\n1,2\n3,oops\n", r"line 3: column 2 \(y\): expected a number, got 'oops'"),
        (b"1,2\n\n3,\n", "line 3, column 2: missing; 1 of 2 rows lack a number"),
        (b"1.5,oops\n1,2\n", "line 1: column 2: expected a number, got 'oops'"),
        (b"a;b\n1.5;2\n1,5;2\n", r"line 3: column 1 \(a\): expected a number, got '1,5'"),
        (b"1,2\n3,4,5\n", "line 2: expected 2 cells, got 3"),
        (b"1,2\n3\n", "line 2: expected 2 cells, got 1"),
        (b'a,b\n1,"2\n3,4\n', "line 2: unexpected end of data"),
        (b"a,\xff\n1,2\n", "expected text in UTF-8, got the column"),
        (b"a,b\n1," + b"9x" * 200_000, "line 2: field larger than field limit"),
        (b"9x" * 200_000, "line [01]: field larger than field limit"),
        (b"a,b\n1,\x00\n", "line 2: column 2"),
    ],
)
def test_text_errors_say_where(tmp_path, text, message):
    path = tmp_path / "table.csv"
    path.write_bytes(text)
    with pytest.raises(ValueError, match=r"table\.csv.*" + message):
        data.load_table(path)


def test_columns_are_chosen_by_name_or_index(tmp_path):
    table = np.arange(12.0).reshape(3, 4)
    named, bare = tmp_path / "table.csv", tmp_path / "table.npy"
    data.save_table(named, table, columns=list("abcd"))
    data.save_table(bare, table)
    array, names = data.load_table(named, columns=["d", -4, 1])
    np.testing.assert_array_equal(array, table[:, [3, 0, 1]])
    assert names == ["d", "a", "b"]
    array, names = data.load_table(bare, columns=[np.int64(2)])
    np.testing.assert_array_equal(array, table[:, [2]])
    assert names is None
    for path, columns, message in [
        (named, ["z"], "no column 'z' among a, b, c, d"),
        (named, [4], "no column 4, they are numbered from 0 to 3"),
        (named, [-5], "no column -5, they are numbered from 0 to 3"),
        (named, "ab", "list of names or indices, got 'ab'"),
        (bare, ["a"], "no column 'a', the columns have no names"),
    ]:
        with pytest.raises(ValueError, match=message):
            data.load_table(path, columns=columns)
    named.write_text("a,a\n1,2\n")
    assert data.load_table(named)[1] == ["a", "a"]
    with pytest.raises(ValueError, match="2 columns are named 'a': give their numbers, from 0"):
        data.load_table(named, columns=["a"])
    data.save_table(bare, np.zeros((2, 3, 4)))
    with pytest.raises(ValueError, match="array of 3 dimensions has no columns"):
        data.load_table(bare, columns=[0])


def test_archives_of_several_arrays(tmp_path):
    path = tmp_path / "sets.npz"
    sets = {"train": np.ones((3, 2)), "test": np.zeros((2, 2), "i4")}
    np.savez_compressed(path, **sets, columns=["a", "b"])
    with pytest.raises(ValueError, match=r"as in .*sets\.npz:train, from train, test$"):
        data.load_table(path)
    with pytest.raises(ValueError, match="no array 'valid' among train, test, columns"):
        data.load_table(f"{path}:valid")
    array, names = data.load_table(f"{path}:test", columns=["b"])
    assert array.shape == (2, 1) and array.dtype == np.int32 and names == ["b"]
    np.savez(path)
    with pytest.raises(ValueError, match="there is no array in it"):
        data.load_table(path)
    # An array may be called "columns" without naming any.
    np.savez(path, columns=np.ones((3, 2)), rows=np.zeros((3, 2)))
    assert data.load_table(path)[1] is None
    assert data.load_table(f"{path}:columns")[0].sum() == 6.0
    # And names that are not as many as the columns are not theirs.
    np.savez(path, rows=np.zeros((3, 2)), columns=["a", "b", "c"])
    assert data.load_table(path)[1] is None


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([[1, None]], dtype=object), "Python objects"),
        (np.array([["a", "b"]]), "expected real numbers, got dtype <U1"),
        (np.array([[1j, 2]]), "expected real numbers, got dtype complex128"),
        (np.array([(1, 2.0)], dtype="i4,f8"), r"expected real numbers, got dtype \[\('f0'"),
        (np.array(["2020-01-01"], dtype="M8[D]"), "expected real numbers, got dtype datetime64"),
        (np.array(3.0), "a single number"),
    ],
)
def test_only_arrays_of_real_numbers(tmp_path, array, message):
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(ValueError, match=f"a.npy: .*{message}"):
        data.load_table(tmp_path / "a.npy")
    np.savez(tmp_path / "a.npz", array, allow_pickle=True)
    with pytest.raises(ValueError, match=r"a\.npz:"):
        data.load_table(tmp_path / "a.npz:arr_0")
    with pytest.raises(ValueError, match=r"expected real numbers|a single number"):
        data.save_table(tmp_path / "b.npy", array)
    assert not (tmp_path / "b.npy").exists()


class Hostile:
    """Unpickling one makes a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_pickles_are_never_run(tmp_path):
    array = np.array([Hostile(tmp_path / "made by a pickle")], dtype=object)
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    np.savez(tmp_path / "a.npz", array, allow_pickle=True)
    for name in ("a.npy", "a.npz"):
        with pytest.raises(ValueError, match=name):
            data.load_table(tmp_path / name)
    assert sorted(os.listdir(tmp_path)) == ["a.npy", "a.npz"]


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_damaged_files(tmp_path, suffix):
    """Truncated and mutated files raise one of the documented exceptions, never another."""
    path = tmp_path / f"table{suffix}"
    data.save_table(path, np.arange(30.0).reshape(10, 3), columns=["a", "b", "c"])
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for trial in range(600):
        damaged = bytearray(whole)
        if trial % 3 == 0:
            damaged = damaged[: rng.integers(len(damaged))]
        else:
            for i in rng.integers(len(damaged), size=rng.integers(1, 4)):
                damaged[i] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            data.load_table(path)
        except (ValueError, OSError, MemoryError):
            refused += 1
    assert refused > 200
    path.write_bytes(b"not an array")
    with pytest.raises(ValueError, match="table"):
        data.load_table(path)


def test_flipped_bit_in_an_archive_is_found(tmp_path):
    path = tmp_path / "table.npz"
    data.save_table(path, np.ones((100, 3)))
    with zipfile.ZipFile(path) as archive:
        offset = archive.infolist()[0].header_offset
    damaged = bytearray(path.read_bytes())
    damaged[offset + 1000] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match="CRC"):
        data.load_table(path)


@pytest.mark.parametrize(
    ("name", "array", "columns", "message"),
    [
        ("t.odt", np.ones((2, 2)), None, r"t\.odt: expected a name ending in one of \.npy, \.npz"),
        ("t", np.ones((2, 2)), None, "expected a name ending"),
        ("t.csv", np.ones((2, 2, 2)), None, r"rows and columns, got shape \(2, 2, 2\)"),
        ("t.csv", np.ones((2, 2)), ["a"], r"got 1 for an array of shape \(2, 2\)"),
        ("t.npz", np.ones((2, 2, 2)), ["a", "b"], "got 2 for an array of shape"),
        (
            "t.csv",
            np.ones((2, 2)),
            ["1.5", "1"],
            "1.5, 1 would be read back as a row, not as names",
        ),
        ("t.csv", np.ones((2, 2)), ["#a", "b"], "begins with '#a' is a comment"),
        ("t.csv", np.ones((2, 1)), [" "], "' ' would not be read back as a column name"),
    ],
)
def test_tables_that_cannot_be_saved(tmp_path, name, array, columns, message):
    with pytest.raises(ValueError, match=message):
        data.save_table(tmp_path / name, array, columns)
    assert os.listdir(tmp_path) == []


def test_missing_files_and_folders(tmp_path):
    for suffix in (".npy", ".npz", ".csv"):
        with pytest.raises(FileNotFoundError, match="absent"):
            data.load_table(tmp_path / f"absent{suffix}")
        path = tmp_path / "folder" / f"table{suffix}"
        with pytest.raises(FileNotFoundError) as caught:
            data.save_table(path, np.ones((2, 2)))
        assert caught.value.filename == str(path)
    with pytest.raises(ValueError, match="expected a name ending"):
        data.load_table(tmp_path / "table.xlsx")


def test_atomic_write_is_all_or_nothing(tmp_path):
    path = tmp_path / "file"
    with pytest.raises(KeyError), atomic_write(path) as file:
        file.write(b"half")
        raise KeyError
    assert os.listdir(tmp_path) == []
    with atomic_write(path) as file:
        file.write(b"whole")
        assert not path.exists()
    with pytest.raises(KeyboardInterrupt), atomic_write(path) as file:
        file.write(b"half of the next")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"whole" and os.listdir(tmp_path) == ["file"]
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)
    link = tmp_path / "link"
    link.symlink_to(path)
    with atomic_write(link) as file:
        file.write(b"through the link")
    assert link.is_symlink() and path.read_bytes() == b"through the link"
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError) as caught, atomic_write(tmp_path / "folder") as file:
        file.write(b"")
    assert str(caught.value).endswith(f"'{tmp_path / 'folder'}'")
    assert sorted(os.listdir(tmp_path)) == ["file", "folder", "link", "plain"]
