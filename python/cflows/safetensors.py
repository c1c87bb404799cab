"""The safetensors file format: files are checked when read, and written whole or not at all.

A file is the length of the header (8 bytes, little-endian), the header (JSON: for each tensor its
dtype, shape and offsets; text in ``__metadata__``) and the tensors' bytes, without gaps.

References
----------
Hugging Face, safetensors: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import math
import os
import reprlib
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from .atomic import atomic_write
from .strict_json import parse

Array = NDArray[Any]

# Parsing a hostile header takes some thirty times its length in memory before it is refused.
MAX_HEADER = 1 << 24
MAX_DIMS = 32
_METADATA = "__metadata__"

_quoter = reprlib.Repr()
_quoter.maxstring = 100  # a malicious name may be as long as the header

DTYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "I64": np.dtype("<i8"),
    "U64": np.dtype("<u8"),
    "F32": np.dtype("<f4"),
    "I32": np.dtype("<i4"),
    "U32": np.dtype("<u4"),
    "F16": np.dtype("<f2"),
    "I16": np.dtype("<i2"),
    "U16": np.dtype("<u2"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}


def write_safetensors(
    path: str | os.PathLike[str],
    tensors: Mapping[str, Array],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write named arrays and text.

    The file is written under another name in the same folder, forced to disk and renamed.

    Parameters
    ----------
    path : str or path-like
    tensors : mapping of str to ndarray
        Of bool, integers or floats of 16 to 64 bits; any byte order and strides.
    metadata : mapping of str to str, optional

    Raises
    ------
    OSError
        If the file cannot be written.
    ValueError
        If the format has no such dtype, or the header grows beyond `MAX_HEADER` bytes.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "some.safetensors"
    ...     write_safetensors(path, {"mean": np.array([1.0, 2.0])}, {"unit": "parsec"})
    ...     read_safetensors(path)
    ({'mean': array([1., 2.])}, {'unit': 'parsec'})
    """
    path = os.fsdecode(path)
    entries: dict[str, Any] = {} if metadata is None else {_METADATA: dict(metadata)}
    end = 0
    names = _in_file_order(tensors)
    for name in names:
        array = tensors[name]
        begin, end = end, end + array.nbytes
        entries[name] = {
            "dtype": dtype_name(array.dtype),
            "shape": list(array.shape),
            "data_offsets": [begin, end],
        }
    header = json.dumps(entries, separators=(",", ":")).encode("ascii")
    header += b" " * (-len(header) % 8)
    if len(header) > MAX_HEADER:
        raise ValueError(
            f"{path}: the description takes {len(header):,} bytes, at most {MAX_HEADER:,}"
        )
    with atomic_write(path) as file:
        file.write(len(header).to_bytes(8, "little"))
        file.write(header)
        for name in names:
            file.write(stored(tensors[name]).data)


def read_safetensors(path: str | os.PathLike[str]) -> tuple[dict[str, Array], dict[str, str]]:
    """Read named arrays and text, checking all before anything is built.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    tensors : dict of str to ndarray
        Writable; they share the memory of one read.
    metadata : dict of str to str

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If the file does not follow the format: the message says where. The memory taken is at most
        a multiple of the file's size.
    """
    path = os.fsdecode(path)  # open would also take a file descriptor
    with open(path, "rb") as file:
        try:
            return _read(file, os.fstat(file.fileno()).st_size)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error


def dtype_name(dtype: np.dtype[Any]) -> str:
    """The format's name of a dtype of any byte order; ValueError if it has none."""
    for name, known in DTYPES.items():
        if known == dtype.newbyteorder("<"):
            return name
    raise ValueError(f"no safetensors dtype for {dtype}")


def stored(array: Array) -> Array:
    """The array's bytes in the file's byte order, one-dimensional uint8."""
    ordered: Array = np.ascontiguousarray(array, DTYPES[dtype_name(array.dtype)])
    raw: Array = ordered.reshape(-1).view(np.uint8)
    return raw


def _in_file_order(tensors: Mapping[str, Array]) -> list[str]:
    # The widest dtype comes first: every tensor then starts at a multiple of its element's size.
    return sorted(tensors, key=lambda name: (-tensors[name].itemsize, name))


def _read(file: BinaryIO, size: int) -> tuple[dict[str, Array], dict[str, str]]:
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or length > size - 8:
        raise ValueError(
            f"expected a safetensors file, got another kind, or one that is cut off ({size} bytes)"
        )
    if length > MAX_HEADER:
        raise ValueError(f"the header has {length:,} bytes, at most {MAX_HEADER:,} are read")
    header = _header(file.read(length))
    metadata = _metadata(header.pop(_METADATA, {}))
    layouts = {name: _layout(name, entry) for name, entry in header.items()}
    _check_cover(layouts, size - 8 - length)
    buffer = np.empty(size - 8 - length, np.uint8)
    if file.readinto(buffer.data) != buffer.size:  # type: ignore[attr-defined]
        raise ValueError("the file has become shorter while being read")
    return {name: _tensor(buffer, name, *layout) for name, layout in layouts.items()}, metadata


def _header(raw: bytes) -> dict[str, Any]:
    if not raw.startswith(b"{"):
        raise ValueError("no safetensors file: the header does not start with '{'")
    try:
        header: dict[str, Any] = parse(raw.decode("utf-8"))
    except ValueError as error:
        raise ValueError(f"the header: {error}") from error
    return header


def _metadata(entry: Any) -> dict[str, str]:
    if not isinstance(entry, dict) or not all(isinstance(text, str) for text in entry.values()):
        raise ValueError(f"{_METADATA} must hold text alone")
    return entry


Layout = tuple[np.dtype[Any], tuple[int, ...], int, int]  # dtype, shape, begin, end


def _layout(name: str, entry: Any) -> Layout:
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"tensor {_quoter.repr(name)} must have dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise ValueError(f"tensor {_quoter.repr(name)}: no known dtype")
    if not _are_sizes(shape) or len(shape) > MAX_DIMS:
        raise ValueError(f"tensor {_quoter.repr(name)}: no valid shape")
    if not _are_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise ValueError(f"tensor {_quoter.repr(name)}: no valid data_offsets")
    begin, end = offsets
    # Python's integers do not overflow.
    if math.prod(shape) * DTYPES[dtype].itemsize != end - begin:
        raise ValueError(
            f"tensor {_quoter.repr(name)}: {end - begin} bytes do not make the shape {shape}"
        )
    return DTYPES[dtype], tuple(shape), begin, end


def _are_sizes(value: Any) -> bool:
    # bool is an int to isinstance; no size is beyond 64 bits, even where another one is 0.
    return isinstance(value, list) and all(type(n) is int and 0 <= n < 2**63 for n in value)


def _check_cover(layouts: Mapping[str, Layout], size: int) -> None:
    """The tensors must lie end to end, from the first byte to the last."""
    reached = 0
    for begin, end, name in sorted(
        (begin, end, name) for name, (*_, begin, end) in layouts.items()
    ):
        if begin != reached:
            raise ValueError(
                f"tensor {_quoter.repr(name)} starts at byte {begin}, expected {reached}"
            )
        reached = end
    if reached != size:
        raise ValueError(f"the tensors end at byte {reached} of {size}: cut off, or more in it")


def _tensor(
    buffer: Array, name: str, dtype: np.dtype[Any], shape: tuple[int, ...], begin: int, end: int
) -> Array:
    raw = buffer[begin:end]
    if dtype == np.bool_ and (raw > 1).any():
        raise ValueError(f"tensor {_quoter.repr(name)}: a bool that is neither 0 nor 1")
    try:
        return raw.view(dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)
    except ValueError as error:  # a shape with a 0 may still be too large
        raise ValueError(f"tensor {_quoter.repr(name)}: {error}") from error
