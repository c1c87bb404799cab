"""The bytes of text files, whatever their encoding and compression, in UTF-8."""

from __future__ import annotations

import codecs
import gzip
import os
import zlib
from collections.abc import Iterator
from typing import IO, cast

from .rows import Watch, unwatched

__all__ = ["logical_end", "text_chunks"]

_BYTES = 1 << 20

_GZIP = b"\x1f\x8b"  # which begins no text

# UTF-32's little-endian mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def text_chunks(path: str, progress: Watch = unwatched) -> Iterator[bytes]:
    """The text in pieces of a megabyte, with newlines between lines.

    `progress` is told which part of the file has been read, of its bytes as they are stored.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is not what its byte order mark or its ``.gz`` says.
    """
    with open(path, "rb") as file:
        plain: IO[bytes] = file
        zipped = file.read(len(_GZIP)) == _GZIP
        file.seek(0)
        if zipped or path.lower().endswith(".gz"):
            plain = cast(IO[bytes], gzip.GzipFile(fileobj=file))
        size = max(os.fstat(file.fileno()).st_size, 1)
        try:
            for chunk in _with_newlines(_decoded(plain)):
                progress(min(file.tell() / size, 1.0))
                yield chunk
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ValueError(f"{path}: damaged: {error}") from error
        except UnicodeDecodeError as error:
            raise ValueError(f"{path}: {error}") from error


def _decoded(file: IO[bytes]) -> Iterator[bytes]:
    first = file.read(_BYTES)
    encoding = next((name for mark, name in _MARKS if first.startswith(mark)), None)
    chunks = _chunks(first, file)
    if encoding is None:
        yield from chunks
    elif encoding == "utf-8-sig":
        yield next(chunks)[len(codecs.BOM_UTF8) :]
        yield from chunks
    else:
        for text in codecs.iterdecode(chunks, encoding):
            yield text.encode()


def _chunks(first: bytes, file: IO[bytes]) -> Iterator[bytes]:
    while first:
        yield first
        first = file.read(_BYTES)


def _with_newlines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The chunks, with newlines for lone carriage returns, as old programs end lines."""
    alone = None
    for chunk in chunks:
        if alone is None:
            alone = b"\r" in chunk and b"\n" not in chunk
        yield chunk.replace(b"\r", b"\n") if alone else chunk


def logical_end(text: bytes, start: int) -> int | None:
    """The place behind the line at `start`, whose quoted cells may go over several; None if the
    text ends before."""
    end, quotes = start, 0
    while True:
        newline = text.find(b"\n", end)
        if newline < 0:
            return None
        quotes += text.count(b'"', end, newline)
        end = newline + 1
        if quotes % 2 == 0:
            return end
