"""Images and labels in files: IDX, CIFAR's binaries, folders of PNG. Images come out as uint8 of
shape (n, channels, height, width)."""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
StrPath = str | os.PathLike[str]

# The third byte of an IDX file is the type of its numbers.
_IDX_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_GZIP = b"\x1f\x8b"
_CIFAR_PIXELS = 3 * 32 * 32


def load_idx(path: StrPath) -> Array:
    """Read an IDX file, the format of MNIST and its family.

    Parameters
    ----------
    path : str or path-like
        Compressed by gzip or not, whatever its name.

    Returns
    -------
    ndarray
        In the file's number type and the machine's byte order. Three dimensions are images, and
        come out as (n, 1, height, width); others keep their shape: (n,) are labels.

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        If it is not such a file, is cut off or has bytes too many.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from cflows import data
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "labels-idx1-ubyte"
    ...     _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]))
    ...     data.load_idx(path).tolist()
    [7, 2, 1]
    """
    content, name = _content(path), os.fspath(path)
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _IDX_DTYPES:
        raise ValueError(f"{name}: an IDX file begins with 0, 0 and a type, got {content[:4]!r}")
    dtype, dimensions = np.dtype(_IDX_DTYPES[content[2]]), content[3]
    start = 4 + 4 * dimensions
    if dimensions == 0 or len(content) < start:
        raise ValueError(f"{name}: the sizes of {dimensions} dimensions are missing")
    shape = struct.unpack_from(f">{dimensions}I", content, 4)
    wanted = start + math.prod(shape) * dtype.itemsize
    if len(content) != wanted:
        text = " x ".join(map(str, shape))
        raise ValueError(f"{name}: {text} numbers take {wanted} bytes, got {len(content)}")
    array = np.frombuffer(content, dtype, offset=start).astype(dtype.newbyteorder("="))
    return array.reshape(_as_images(shape) if dimensions == 3 else shape)


def load_cifar(*paths: StrPath) -> tuple[Array, Array]:
    """Read batches of CIFAR-10 or CIFAR-100 in their binary version.

    Parameters
    ----------
    *paths : str or path-like
        Such as ``data_batch_1.bin`` to ``data_batch_5.bin``, joined in this order.

    Returns
    -------
    images : ndarray of uint8, shape (n, 3, 32, 32)
    labels : ndarray of uint8, shape (n,) or (n, 2)
        Of CIFAR-100 coarse and fine ones.

    Raises
    ------
    OSError
        If a file cannot be opened.
    ValueError
        If there is no file, or one does not hold whole images of either kind, or of that of the
        others.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from cflows import data
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "data_batch_1.bin"
    ...     _ = path.write_bytes(2 * (bytes([6]) + bytes(3072)))
    ...     images, labels = data.load_cifar(path)
    >>> images.shape, labels.tolist()
    ((2, 3, 32, 32), [6, 6])
    """
    if not paths:
        raise ValueError("load_cifar needs a file, got none")
    contents = [_content(path) for path in paths]
    fits = [n for n in (1, 2) if all(len(c) % (n + _CIFAR_PIXELS) == 0 for c in contents)]
    if not fits or not all(contents):
        sizes = ", ".join(f"{os.fspath(p)}: {len(c)}" for p, c in zip(paths, contents, strict=True))
        raise ValueError(
            "bytes of CIFAR batches must be multiples of 3073, or all of 3074 (CIFAR-100), got "
            + sizes
        )
    rows = np.concatenate(
        [np.frombuffer(c, np.uint8).reshape(-1, fits[0] + 3072) for c in contents]
    )
    labels = rows[:, : fits[0]]
    images = rows[:, fits[0] :].reshape(-1, 3, 32, 32)
    return images.copy(), (labels[:, 0] if fits[0] == 1 else labels).copy()


def load_pngs(folder: StrPath) -> tuple[Array, Array, list[str]]:
    """Read the PNG images of a folder, whose sub-folders are classes.

    Parameters
    ----------
    folder : str or path-like
        Images in it, or in its sub-folders, by name; all of one size, and all grey or all colour.

    Returns
    -------
    images : ndarray of uint8, shape (n, channels, height, width)
        One channel of grey images, three of others; transparency is dropped.
    labels : ndarray of int64, shape (n,)
        The number of the sub-folder; 0 for images in the folder itself.
    names : list of str
        The sub-folders, or ``"."``, by number.

    Raises
    ------
    ImportError
        If Pillow is missing (``pip install 'cflows[images]'``).
    OSError
        If a file cannot be read.
    ValueError
        If there is no image, or one is damaged or differs from the first in size or kind.

    Examples
    --------
    >>> from cflows import data
    >>> images, labels, names = data.load_pngs("pictures")  # doctest: +SKIP
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError("PNG files need Pillow: pip install 'cflows[images]'") from error
    root = Path(folder)
    paths = sorted(path for path in root.rglob("*") if path.suffix.lower() == ".png")
    if not paths:
        raise ValueError(f"{root}: there is no .png in it")
    names = sorted({path.parent.relative_to(root).as_posix() for path in paths})
    images = [_read_png(Image, path) for path in paths]
    for path, image in zip(paths, images, strict=True):
        if image.shape != images[0].shape:
            raise ValueError(
                f"{path}: channels, height and width must be {images[0].shape} as of {paths[0]}, "
                f"got {image.shape}"
            )
    number = {name: i for i, name in enumerate(names)}
    labels = [number[path.parent.relative_to(root).as_posix()] for path in paths]
    return np.stack(images), np.array(labels, np.int64), names


def _read_png(image_module: Any, path: Path) -> Array:
    try:
        with image_module.open(path, formats=("PNG",)) as image:
            grey = image.mode in ("1", "L", "LA")
            if image.mode.startswith("I"):
                raise ValueError("images of 16 bits a channel are not read")
            array = np.asarray(image.convert("L" if grey else "RGB"))
    except (SyntaxError, ValueError, OSError) as error:
        if isinstance(error, (FileNotFoundError, PermissionError)):
            raise
        raise ValueError(f"{path}: {error}") from error
    return array[None] if grey else np.moveaxis(array, -1, 0)


def _content(path: StrPath) -> bytes:
    """The bytes of a file, unpacked if they are gzip's."""
    content = Path(path).read_bytes()
    if content[:2] != _GZIP:
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{os.fspath(path)}: damaged gzip: {error}") from error


def _as_images(shape: Sequence[int]) -> tuple[int, ...]:
    return shape[0], 1, shape[1], shape[2]
