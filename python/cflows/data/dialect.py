"""How a text table is written, judged from its first lines: delimiter, decimal point, names."""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from ..data_warnings import DataWarning
from .cells import is_number, kind_of
from .header import first_cells, is_header
from .text_chunks import logical_end, text_chunks

__all__ = ["Dialect", "Header", "cells_of", "decoded", "is_comment", "read_dialect"]

Header = Literal["auto"] | bool

_DELIMITERS = ("\t", ";", ",", "|")
_LINES = 100  # looked at, if they are not too long
_BYTES = 1 << 20
_MIN_LINES = 3
_TAB = re.compile(r'("[^"]*")|\t')
_EXCEL_ERROR = re.compile(r"#(?:N/A|NA\b|VALUE!|REF!|DIV/0!|NUM!|NAME\?|NULL!)")
_EXCEL_DELIMITER = re.compile(r'"?sep=([,;|\t])"?')  # the first line, where Excel is to read it
_COMMENT = re.compile(r"#|//|%(?:\s|$)")
_WITH_COMMA = re.compile(r"[+-]?[0-9]*,[0-9]+(?:[eE][+-]?[0-9]+)?")
_WITH_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2}(?:,[0-9]{3})+")


@dataclass(frozen=True)
class Dialect:
    """How to read the rows of a file."""

    delimiter: str  # a blank is any run of blanks
    decimal: str
    names: list[str] | None
    width: int
    open_end: bool  # there is a delimiter behind the last cell
    start: int  # the place of the first row in the text
    line: int  # and its line


@dataclass(frozen=True)
class _Line:
    number: int
    start: int
    end: int
    text: str

    @property
    def next(self) -> int:
        """The number of the line that follows."""
        return self.number + max(1, self.text.count("\n"))


def read_dialect(path: str, header: Header, decimal: str) -> Dialect:
    """How the file is written.

    Raises
    ------
    ValueError
        If there is no row or header in it, or if its first lines may be read in two ways.
    """
    lines = list(_first_lines(path))
    rows = [line for line in lines if not is_comment(line.text)]
    if not rows:
        raise ValueError(f"{path}: expected a table, the file is empty")
    told = _EXCEL_DELIMITER.fullmatch(rows[0].text.strip("\r\n"))
    if told and len(rows) > 1:
        rows = rows[1:]
    texts = [line.text for line in rows]
    delimiter = told[1] if told else _delimiter(texts, decimal)
    cells = [_cells(line, delimiter, path) for line in rows]
    if decimal == "auto":
        decimal = _decimal(delimiter, cells, path)
    named = header
    if header == "auto":
        named = is_header(cells[0], cells[1:], decimal, f"{path}, line {rows[0].number}")
    names = _in_utf8(cells[0], path) if named else None
    body = 1 if named else 0
    if names is None and header == "auto":
        names = _names_in_comment(
            [x for x in lines if x.number < rows[0].number], cells[0], delimiter
        )
    if named and _is_units(cells, decimal):
        _tell_units(path, rows[1].number, cells[1])
        body = 2
    return _fitted(delimiter, decimal, names, cells[body:], rows, body, cells[0])


def _fitted(
    delimiter: str,
    decimal: str,
    names: list[str] | None,
    cells: list[list[str]],
    rows: list[_Line],
    body: int,
    first: list[str],
) -> Dialect:
    """The dialect, once names and rows have the same number of cells."""
    width = len(first)
    open_end = delimiter != " " and width > 1 and all(row[-1] == "" for row in [*cells, first])
    if names is not None and cells and all(len(row) == width + 1 for row in cells):
        if all(row[-1] == "" for row in cells):
            open_end, width = True, width + 1
        elif delimiter in (" ", "\t"):  # as R writes names of rows
            names, width = ["", *names], width + 1
    if names is not None and open_end:
        names = names[: width - 1]
    before = rows[body - 1] if body > 0 else None
    start, line = (rows[0].start, rows[0].number) if before is None else (before.end, before.next)
    return Dialect(delimiter, decimal, names, width - open_end, open_end, start, line)


def cells_of(text: str, delimiter: str) -> list[str]:
    """The cells of a line, without quotes and blanks around them; csv.Error if it has none."""
    if delimiter == " ":
        text = _TAB.sub(lambda found: found[1] or " ", text).strip()
    reader = csv.reader(
        text.splitlines(keepends=True), delimiter=delimiter, skipinitialspace=True, strict=True
    )
    row = next(reader)
    if next(reader, None) is not None:
        raise csv.Error("unexpected end of line")
    return [cell.strip() for cell in row]


def _in_utf8(names: list[str], path: str) -> list[str]:
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise ValueError(
                f"{path}: expected text in UTF-8, got the column {name!r}: save it as UTF-8"
            ) from None
    return names


def is_comment(text: str) -> bool:
    """Whether there is a mark before the line; errors of Excel, such as #N/A, are none."""
    text = text.lstrip()
    return _COMMENT.match(text) is not None and not _EXCEL_ERROR.match(text)


def _first_lines(path: str) -> Iterable[_Line]:
    """The first lines that are not blank; names and rows among them, comments beside."""
    text, chunks, whole = b"", text_chunks(path), False
    while not whole and text.count(b"\n") < (_LINES if len(text) < _BYTES else _MIN_LINES):
        chunk = next(chunks, None)
        whole = chunk is None
        text += chunk or b"\n"
    start, number, rows = 0, 1, 0
    while rows < _LINES and start < len(text):
        end = logical_end(text, start)
        if end is None:
            if not whole:
                return
            end = len(text)
        line = decoded(text[start:end])
        if rows == 0 and "\0" in line:
            raise ValueError(
                f"{path}: expected text, got null characters; UTF-16 must have its byte order mark"
            )
        if line.strip():
            rows += not is_comment(line)
            yield _Line(number, start, end, line)
        number += text.count(b"\n", start, end)
        start = end


def decoded(text: bytes) -> str:
    """The text of bytes in UTF-8; others stand as surrogates, for the column may not be wanted."""
    return text.decode(errors="surrogateescape")


def _cells(line: _Line, delimiter: str, path: str) -> list[str]:
    try:
        return cells_of(line.text, delimiter)
    except csv.Error as error:
        raise ValueError(f"{path}, line {line.number}: {error}") from error


def _delimiter(lines: Sequence[str], decimal: str) -> str:
    """The mark that is as often in every line, or at least in every line; else blanks."""
    marks = [mark for mark in _DELIMITERS if mark != decimal]
    bare = [re.sub(r'"[^"]*("|$)', "", line.strip(" \r\n")) for line in lines[:20]]
    for mark in marks:
        counts = {line.count(mark) for line in bare}
        if len(counts) == 1 and counts != {0}:
            return mark
    for mark in marks:
        if all(mark in line for line in bare):
            return mark
    often = max(marks, key=bare[0].count)
    if often in bare[0]:
        return often
    if any("," in line for line in bare) and decimal == "auto":
        return ","
    single = all(len(line.split()) == 1 for line in bare[1:] or bare)
    return ";" if single else " "


def _decimal(delimiter: str, rows: Sequence[Sequence[str]], path: str) -> str:
    """A comma if cells have one where numbers have their point."""
    cells = [cell for row in rows for cell in row]
    commas = [cell for cell in cells if _WITH_COMMA.fullmatch(cell)]
    if not commas or any("." in cell and is_number(cell) for cell in cells):
        return "."
    if all(_WITH_THOUSANDS.fullmatch(cell) for cell in commas):
        raise ValueError(
            f"{path}: {commas[0]!r} has a comma for a decimal point, or one between thousands: say "
            "decimal=',' (--decimal ,) if it is a decimal point, else write it without"
        )
    return ","


def _names_in_comment(
    comments: Sequence[_Line], row: Sequence[str], delimiter: str
) -> list[str] | None:
    """The cells of the last comment before the rows that are as many names, as NumPy writes."""
    for line in reversed(comments):
        text = line.text.strip().lstrip("#/%").strip(" ")
        for mark in (delimiter, " "):
            try:
                cells = cells_of(text, mark)
            except (csv.Error, StopIteration):
                continue
            names = len(cells) == len(row) == len(set(cells))
            if names and "number" not in map(kind_of, cells) and any(cells):
                return cells
    return None


def _is_units(lines: Sequence[Sequence[str]], decimal: str) -> bool:
    """Whether the row under the names has text over numbers, and no number: units."""
    if len(lines) < 3 or len(lines[1]) != len(lines[0]):
        return False
    kinds = [[kind_of(cell, decimal) for cell in row] for row in lines[1:]]
    if "number" in kinds[0]:
        return False
    later = [set(column) for column in zip(*kinds[1:], strict=False)]
    over = [k == "text" for k, below in zip(kinds[0], later, strict=False) if "number" in below]
    return any(over) and not any("text" in below and "number" in below for below in later)


def _tell_units(path: str, number: int, cells: Sequence[str]) -> None:
    warnings.warn(
        f"{path}, line {number} ({first_cells(cells)}) is taken for the units of the columns, and "
        "left out",
        DataWarning,
        stacklevel=2,
    )
