"""The file format, against the safetensors package and against files that break its rules."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from cflows.safetensors import MAX_HEADER, read_safetensors, write_safetensors
from model_files import join, write

DTYPES = ["?", *"bBhHiIqQefd"]


def some_tensors() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    tensors = {f"of {code}": (rng.normal(size=(3, 5)) * 50).astype(code) for code in DTYPES}
    return tensors | {
        "scalar": np.array(2.5),
        "empty": np.zeros((0, 4), np.float32),
        "ünïcode": np.arange(3.0),
        "nan": np.array([np.nan, np.inf, -0.0]),
    }


def assert_same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> None:
    assert a.keys() == b.keys()
    for name in a:
        assert (a[name].dtype, a[name].shape) == (b[name].dtype, b[name].shape), name
        assert a[name].tobytes() == b[name].tobytes(), name


def test_the_package_reads_what_we_write(tmp_path: Path):
    path = tmp_path / "a.safetensors"
    write_safetensors(path, some_tensors(), {"format": "np", "quote": '"\\\n', "ü": "ß"})
    assert_same(safetensors.numpy.load_file(path), some_tensors())
    with safetensors.safe_open(path, "np") as file:
        assert file.metadata() == {"format": "np", "quote": '"\\\n', "ü": "ß"}


def test_we_read_what_the_package_writes(tmp_path: Path):
    path = tmp_path / "a.safetensors"
    safetensors.numpy.save_file(some_tensors(), path, {"by": "the package"})
    tensors, metadata = read_safetensors(path)
    assert_same(tensors, some_tensors())
    assert metadata == {"by": "the package"}


def test_layouts_and_byte_orders_are_the_caller_s_own(tmp_path: Path):
    path = tmp_path / "a.safetensors"
    x = np.arange(24.0).reshape(4, 6)
    given = {"t": x.T, "strided": x[::-2, 1::2], "swapped": x.astype(">f8"), "c": x[:, :3]}
    write_safetensors(path, given)
    tensors, metadata = read_safetensors(path)
    assert metadata == {}
    for name, array in tensors.items():
        np.testing.assert_array_equal(array, given[name])
        assert array.dtype.isnative and array.flags.writeable and array.flags.aligned


def test_the_header_is_aligned(tmp_path: Path):
    for length in range(1, 10):
        path = tmp_path / "a.safetensors"
        write_safetensors(path, {"x" * length: np.zeros(3)})
        assert int.from_bytes(path.read_bytes()[:8], "little") % 8 == 0


@pytest.mark.parametrize("dtype", ["c16", "O", "U3", "M8[s]", "g"])
def test_a_dtype_without_a_place_in_the_format(tmp_path: Path, dtype: str):
    with pytest.raises(ValueError, match="no safetensors dtype"):
        write_safetensors(tmp_path / "a", {"x": np.zeros(2, dtype)})
    assert list(tmp_path.iterdir()) == []


def test_too_long_a_header_is_not_written(tmp_path: Path):
    with pytest.raises(ValueError, match="at most"):
        write_safetensors(tmp_path / "a", {}, {"text": "x" * MAX_HEADER})
    assert list(tmp_path.iterdir()) == []


# ---- files that cannot be written ----


def test_unwritable_places(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileNotFoundError):
        write_safetensors(tmp_path / "nowhere" / "a", {})
    with pytest.raises(NotADirectoryError):
        write_safetensors(tmp_path / "file" / "a", {})
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError):
        write_safetensors(tmp_path / "folder", {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failure_leaves_the_old_file(tmp_path: Path, monkeypatch, failing: str):
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "a.safetensors"
    write_safetensors(path, {"x": np.ones(3)})
    before = path.read_bytes()
    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(OSError, match="No space"):
        write_safetensors(path, {"x": np.zeros(3)})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


# ---- files that break the rules ----


def entry(dtype: object = "F32", shape: object = (2,), offsets: object = (0, 8)) -> dict:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


EIGHT = bytes(8)
GOOD = join({"a": entry()}, EIGHT)
BROKEN = {
    "nothing": b"",
    "less than a length": b"\x08\0\0",
    "a length alone": struct.pack("<Q", 2),
    "a length beyond the file": join(b"{}", length=3),
    "the largest length": join(b"{}", length=2**64 - 1),
    "a length that overflows": join(b"{}", length=2**64 - 8),
    "no JSON": join(b"{oops}"),
    "an empty header": join(b""),
    "a list": join(b"[]"),
    "space before the header": join(b" {}"),
    "two values": join(b"{}{}"),
    "not UTF-8": join(b'{"\xff":1}'),
    "NaN": join(b'{"a":NaN}'),
    "-Infinity": join(b'{"a":-Infinity}'),
    "an infinite number": join(b'{"a":1e999}'),
    "a number of many digits": join(b'{"a":' + b"9" * 5000 + b"}"),
    "deep lists": join(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "deep objects": join(b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
    "lists just too deep": join(b'{"a":' + b"[" * 64 + b"]" * 64 + b"}"),
    "a tensor twice": join(
        b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},'
        b'"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}',
        EIGHT,
    ),
    "a dtype twice": join(
        b'{"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}', EIGHT
    ),
    "metadata that are no object": join({"__metadata__": 1}),
    "metadata that are no text": join({"__metadata__": {"a": 1}}),
    "no object": join({"a": 1}),
    "a member missing": join({"a": {"dtype": "F32", "shape": [2]}}, EIGHT),
    "a member more": join({"a": {**entry(), "more": 1}}, EIGHT),
    "an unknown dtype": join({"a": entry("F31")}, EIGHT),
    "a dtype that is no text": join({"a": entry(["F32"])}, EIGHT),
    "a shape that is no list": join({"a": entry(shape=2)}, EIGHT),
    "a size that is a float": join({"a": entry(shape=[2.0])}, EIGHT),
    "a size that is a bool": join({"a": entry(shape=[2, True])}, EIGHT),
    "a negative size": join({"a": entry(shape=[-2, -1])}, EIGHT),
    "a huge size": join({"a": entry(shape=[2**62 + 2])}, EIGHT),
    "sizes whose product overflows": join({"a": entry(shape=[2**32, 2**32, 2])}, EIGHT),
    "a huge size beside a zero": join({"a": entry(shape=[0, 2**63], offsets=[0, 0])}),
    "large sizes beside a zero": join({"a": entry(shape=[0, 2**62, 2**62], offsets=[0, 0])}),
    "too many dimensions": join({"a": entry(shape=[1] * 33 + [2])}, EIGHT),
    "one offset": join({"a": entry(offsets=[0])}, EIGHT),
    "three offsets": join({"a": entry(offsets=[0, 8, 8])}, EIGHT),
    "an offset that is a float": join({"a": entry(offsets=[0, 8.0])}, EIGHT),
    "a negative offset": join({"a": entry(offsets=[-8, 0])}, EIGHT),
    "offsets that decrease": join({"a": entry(shape=[0], offsets=[8, 0])}, EIGHT),
    "a shape of other bytes": join({"a": entry(shape=[3])}, EIGHT),
    "offsets beyond the file": join({"a": entry()}, bytes(7)),
    "bytes left over": join({"a": entry()}, bytes(9)),
    "a gap": join({"a": entry(), "b": entry(offsets=[12, 20])}, bytes(20)),
    "a hole at the start": join({"a": entry(offsets=[8, 16])}, bytes(16)),
    "an overlap": join({"a": entry(), "b": entry(offsets=[4, 12])}, bytes(12)),
    "the same bytes twice": join({"a": entry(), "b": entry()}, EIGHT),
    "a bool of 2": join({"a": entry("BOOL", [2], [0, 2])}, b"\1\2"),
    "a long name": join({"n" * 100_000: 1}),
}


def test_the_file_that_the_broken_ones_come_from(tmp_path: Path):
    tensors, _ = read_safetensors(write(tmp_path / "a", GOOD))
    np.testing.assert_array_equal(tensors["a"], np.zeros(2, np.float32))


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_refused_and_named(tmp_path: Path, case: str):
    path = write(tmp_path / "broken", BROKEN[case])
    with pytest.raises(ValueError) as caught:
        read_safetensors(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and len(message) < len(str(path)) + 400


def test_what_cannot_be_opened(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        read_safetensors(tmp_path / "nothing")
    with pytest.raises(OSError):
        read_safetensors(tmp_path)


def test_a_tensor_at_an_odd_place(tmp_path: Path):
    content = join({"a": entry("U8", [1], [0, 1]), "b": entry("F64", [1], [1, 9])}, b"\7" + EIGHT)
    tensors, _ = read_safetensors(write(tmp_path / "a", content))
    assert tensors["a"].tolist() == [7] and tensors["b"].tolist() == [0.0]
