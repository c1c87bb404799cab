"""Images from files, against files made byte by byte and by Pillow."""

import gzip
import struct

import numpy as np
import pytest

from cflows import data

PIL_IMAGE = pytest.importorskip("PIL.Image")
IDX_TYPES = {8: "u1", 9: "i1", 11: "i2", 12: "i4", 13: "f4", 14: "f8"}


def idx(array, code):
    header = bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(">" + IDX_TYPES[code]).tobytes()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("code", IDX_TYPES)
def test_idx(tmp_path, code, packed):
    rng = np.random.default_rng(code)
    for shape in ((7,), (3, 5), (4, 3, 2), (2, 3, 4, 5), (0, 28, 28)):
        array = rng.integers(0, 100, size=shape).astype(IDX_TYPES[code])
        content = idx(array, code)
        path = tmp_path / "file"
        path.write_bytes(gzip.compress(content) if packed else content)
        found = data.load_idx(path)
        assert found.dtype == np.dtype(IDX_TYPES[code]) and found.dtype.isnative
        expected = array[:, None] if array.ndim == 3 else array
        assert found.shape == expected.shape
        assert np.array_equal(found, expected)
        assert found.flags.writeable


def test_damaged_idx(tmp_path):
    whole = idx(np.arange(12).reshape(3, 2, 2), 8)
    damaged = {
        b"": "begins with 0, 0 and a type",
        b"\x01" + whole[1:]: "begins with 0, 0 and a type",
        b"\0\0\x07" + whole[3:]: "begins with 0, 0 and a type",
        whole[:9]: "the sizes of 3 dimensions are missing",
        b"\0\0\x08\0": "the sizes of 0 dimensions are missing",
        whole[:-1]: "3 x 2 x 2 numbers take 28 bytes, got 27",
        whole + b"\0": "3 x 2 x 2 numbers take 28 bytes, got 29",
        gzip.compress(whole)[:-6]: "damaged gzip",
        b"\x1f\x8bnonsense": "damaged gzip",
    }
    path = tmp_path / "file"
    for content, message in damaged.items():
        path.write_bytes(content)
        with pytest.raises(ValueError, match=message) as error:
            data.load_idx(path)
        assert str(path) in str(error.value)
    with pytest.raises(FileNotFoundError):
        data.load_idx(tmp_path / "nothing")


@pytest.mark.parametrize("labels", [1, 2])
def test_cifar(tmp_path, labels):
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 256, size=(5, labels + 3072), dtype=np.uint8)
    paths = [tmp_path / "one.bin", tmp_path / "two.bin"]
    paths[0].write_bytes(rows[:2].tobytes())
    paths[1].write_bytes(rows[2:].tobytes())
    images, found = data.load_cifar(*paths)
    assert images.dtype == np.uint8 and images.shape == (5, 3, 32, 32)
    assert images[3, 1, 4, 6] == rows[3, labels + 1024 + 4 * 32 + 6]
    assert np.array_equal(images.reshape(5, -1), rows[:, labels:])
    assert np.array_equal(found, rows[:, 0] if labels == 1 else rows[:, :2])


def test_damaged_cifar(tmp_path):
    path, other = tmp_path / "one.bin", tmp_path / "two.bin"
    path.write_bytes(bytes(3073))
    other.write_bytes(bytes(3074))
    for paths in ((path, other), (tmp_path / "three.bin",)):
        (tmp_path / "three.bin").write_bytes(b"" if len(paths) == 1 else bytes(10))
        with pytest.raises(ValueError, match="multiples of 3073, or all of 3074"):
            data.load_cifar(*paths)
    with pytest.raises(ValueError, match="needs a file, got none"):
        data.load_cifar()


def save(path, array):
    path.parent.mkdir(exist_ok=True)
    PIL_IMAGE.fromarray(array).save(path)


def test_pngs(tmp_path):
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, size=(4, 6, 5, 3), dtype=np.uint8)
    for name, picture in zip(("b/2", "a/1", "b/1", "a/0"), pictures, strict=True):
        save(tmp_path / f"{name}.PNG", picture)
    images, labels, names = data.load_pngs(tmp_path)
    assert names == ["a", "b"] and labels.tolist() == [0, 0, 1, 1]
    assert np.array_equal(images, pictures[[3, 1, 2, 0]].transpose(0, 3, 1, 2))
    grey = tmp_path / "grey"
    grey.mkdir()
    for i, picture in enumerate(pictures[..., 0]):
        save(grey / f"{i}.png", picture)
    images, labels, names = data.load_pngs(grey)
    assert names == ["."] and labels.tolist() == [0, 0, 0, 0]
    assert np.array_equal(images[:, 0], pictures[..., 0])


def test_damaged_pngs(tmp_path):
    with pytest.raises(ValueError, match=r"there is no \.png in it"):
        data.load_pngs(tmp_path)
    save(tmp_path / "0.png", np.zeros((4, 5), np.uint8))
    save(tmp_path / "1.png", np.zeros((4, 6), np.uint8))
    with pytest.raises(ValueError, match=r"1\.png: channels, height and width must be \(1, 4, 5\)"):
        data.load_pngs(tmp_path)
    whole = (tmp_path / "0.png").read_bytes()
    for content in (whole[: len(whole) // 2], b"nonsense", b""):
        (tmp_path / "1.png").write_bytes(content)
        with pytest.raises(ValueError, match=r"1\.png"):
            data.load_pngs(tmp_path)
    save(tmp_path / "1.png", np.zeros((4, 5), np.uint16))
    with pytest.raises(ValueError, match="16 bits"):
        data.load_pngs(tmp_path)
