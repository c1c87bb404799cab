"""Tables of numbers as text, one row a line: reading."""

from __future__ import annotations

import csv
import math
import re
from bisect import bisect_right
from collections.abc import Collection, Generator, Iterator
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .blocks import blocks, rows_at_once
from .cells import MISSING, convert
from .dialect import Dialect, Header, cells_of, decoded, is_comment, read_dialect
from .rows import Rows, Watch, from_row, unwatched
from .text_chunks import logical_end, text_chunks

__all__ = ["Delimited"]

Array = NDArray[Any]

_SPELLINGS = "\0".join(["", *sorted(MISSING), ""]).encode()
_IGNORED, _NUMBER, _EMPTY, _LABEL = 0, 1, 2, 3
_MAX_ROW = 1 << 24  # bytes; more is a quote that nothing closes
_THOUSANDS = re.compile(r"[+-]?[0-9]{1,3}(?:[,.'  ][0-9]{3})+(?:[.,][0-9]*)?")


class Delimited:
    """A `Source` of a text file: lines of cells, of which the columns asked for are numbers."""

    dimensions = 2

    def __init__(self, path: str, header: Header = "auto", decimal: str = "auto") -> None:
        self.path = path
        self.progress: Watch = unwatched
        self._dialect = read_dialect(path, header, decimal)
        self.names, self.width = self._dialect.names, self._dialect.width

    def read(self, columns: list[int] | None, labels: Collection[int] = ()) -> Rows:
        chosen = list(range(self.width)) if columns is None else columns
        reader = self._reader(chosen, labels)
        return self._rows(np.concatenate([reader.no_rows, *reader.pieces()]), chosen, reader)

    def pieces(self, columns: list[int], labels: Collection[int] = ()) -> Iterator[Rows]:
        reader = self._reader(columns, labels)
        arrays = chain([reader.no_rows], reader.pieces())
        start = 0
        for array in blocks(arrays, rows_at_once(len(columns))):
            yield from_row(start, self._rows(array, columns, reader))
            start += len(array)

    def _reader(self, columns: list[int], labels: Collection[int]) -> _Reader:
        return _Reader(self.path, self._dialect, sorted(set(columns)), labels, self.progress)

    def _rows(self, array: Array, columns: list[int], reader: _Reader) -> Rows:
        if columns != reader.wanted:
            array = array[:, [reader.wanted.index(i) for i in columns]]
        names = None if self.names is None else [self.names[i] for i in columns]
        labels = {i: [decoded(text) for text in own] for i, own in reader.labels.items()}
        return Rows(array, names, columns, reader.lines.place, marked=True, labels=labels)


class _Lines:
    """The lines that rows come from: one after the other, but for those marked."""

    def __init__(self) -> None:
        self._rows: list[int] = []
        self._lines: list[int] = []

    def mark(self, row: int, line: int) -> None:
        """From this row on, lines follow this one."""
        if not self._rows or line - row != self._lines[-1] - self._rows[-1]:
            self._rows.append(row)
            self._lines.append(line)

    def place(self, row: int) -> str:
        i = bisect_right(self._rows, row) - 1
        return f"line {self._lines[i] + row - self._rows[i]}"


class _Reader:
    """Reads the rows: most by the core, and one by one the lines that it hands back."""

    def __init__(
        self,
        path: str,
        dialect: Dialect,
        wanted: list[int],
        labels: Collection[int],
        progress: Watch,
    ) -> None:
        self.path, self.dialect, self.wanted, self.progress = path, dialect, wanted, progress
        self.labels: dict[int, dict[bytes, int]] = {i: {} for i in wanted if i in labels}
        self.no_rows: Array = np.empty((0, len(wanted)), np.float64)
        kinds = [_IGNORED] * dialect.width
        for i in wanted:
            kinds[i] = _LABEL if i in self.labels else _NUMBER
        self.kinds = bytes(kinds + [_EMPTY] * dialect.open_end)
        self.lines, self.row, self.line = _Lines(), 0, dialect.line

    def pieces(self) -> Iterator[Array]:
        """The rows, (some, len(wanted)) at a time."""
        text, start = b"", self.dialect.start
        chunks = text_chunks(self.path, self.progress)
        chunk = next(chunks, b"")
        while chunk:
            following = next(chunks, b"")
            text += chunk
            if not following:
                yield from self._rows_of(text, start, whole=True)
            elif start < len(text):
                cut = text.rfind(b"\n") + 1
                start = yield from self._rows_of(text[:cut], start, whole=False)
                text, start = text[start:], 0
            chunk = following

    def _rows_of(self, text: bytes, start: int, whole: bool) -> Generator[Array, None, int]:
        """The rows of lines from `start` on; returns where they end, which is before the end of the
        text if a quoted cell goes on behind it."""
        while start < len(text):
            rows, start = _core.number_lines(
                text,
                start,
                self.dialect.delimiter,
                self.dialect.decimal,
                self.kinds,
                list(self.labels.values()),
                _SPELLINGS,
            )
            if len(rows):
                yield self._counted(rows, self.line, len(rows))
            if start == len(text):
                break
            end = logical_end(text, start)
            if end is None and not whole and len(text) - start < _MAX_ROW:
                break
            end = len(text) if end is None else end
            row = self._odd_row(text[start:end])
            if row is not None:
                yield self._counted(row, self.line, 0)
            self.line += text.count(b"\n", start, end)
            start = end
        return start

    def _counted(self, rows: Array, line: int, lines: int) -> Array:
        self.lines.mark(self.row, line)
        self.row += len(rows)
        self.line += lines
        return rows

    def _odd_row(self, text: bytes) -> Array | None:
        """The row of a line that the core did not read; None if it is blank or a comment."""
        place = f"{self.path}, line {self.line}"
        line = decoded(text)
        if not line.strip() or is_comment(line):
            return None
        try:
            cells = cells_of(line, self.dialect.delimiter)
        except csv.Error as error:
            raise ValueError(f"{place}: {error}") from error
        count = len(cells) - (self.dialect.open_end and cells[-1] == "")
        if count != self.dialect.width:
            above = self.row == 0 and self.dialect.names is not None
            hint = "; put # before lines above the names, or remove them" if above else ""
            width = f"{self.dialect.width} cell{'' if self.dialect.width == 1 else 's'}"
            raise ValueError(f"{place}: expected {width}, got {count}{hint}")
        return np.array([[self._number(cells, i, place) for i in self.wanted]])

    def _label(self, cell: str, known: dict[bytes, int]) -> float:
        return math.nan if cell in MISSING else known.setdefault(cell.encode(), len(known))

    def _number(self, cells: list[str], i: int, place: str) -> float:
        if i in self.labels:
            return self._label(cells[i], self.labels[i])
        number = convert(cells[i], self.dialect.decimal)
        if number is not None:
            return number
        names, cell = self.dialect.names, cells[i]
        name = f" ({names[i]})" if names is not None and names[i] else ""
        hint = "choose the columns to read (columns=, --columns), or fit labels (--categorical)"
        if _THOUSANDS.fullmatch(cell):
            hint = "numbers must not have marks between thousands"
        elif names is not None and self.row == 0:
            hint += ", or remove the line if it does not belong to the table"
        raise ValueError(
            f"{place}: column {i + 1}{name}: expected a number, got {cell[:40]!r}; {hint}"
        )
