"""How far subcommands are with reading, scoring and sampling."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from ..data.rows import Source, unwatched
from ..progress import Display, new_display

__all__ = ["Work", "reading", "working"]

_DELAY = 2.0  # seconds; shorter work shows nothing


class Work:
    """Rows that are done, of as many as there will be.

    While a file is read, that number is estimated from the part of the file that has been.
    """

    def __init__(self, verb: str, display: Display | None) -> None:
        self.verb, self.display = verb, display
        self.rows, self.total = 0, 0.0
        self.part_read = 1.0

    def read(self, part: float) -> None:
        """Which part of the file has been read."""
        self.part_read = part

    def expect(self, rows: int) -> None:
        """There are so many rows to do in what has been read."""
        self.total = rows / max(self.part_read, 1e-9)

    def add(self, rows: int) -> None:
        """So many more are done."""
        self.rows += rows
        if self.display is not None:
            self.display.update(self.verb, self.rows, self.total)


@contextmanager
def working(verb: str, source: Source | None, quiet: bool) -> Iterator[Work]:
    """Work that shows its progress unless it is `quiet`, through the rows of a table if there is
    one."""
    with _shown(None if quiet else new_display(delay=_DELAY), source) as display:
        work = Work(verb, display)
        if source is not None:
            source.progress = work.read
        yield work


@contextmanager
def reading(source: Source, quiet: bool) -> Iterator[None]:
    """Show how much of a table has been read."""
    with _shown(None if quiet else new_display(100.0, unit=None, delay=_DELAY), source) as display:
        if display is not None:
            title = f"reading {os.path.basename(source.path)}"
            source.progress = lambda part: display.update(title, 100.0 * part, 100.0)
        yield


@contextmanager
def _shown(display: Display | None, source: Source | None) -> Iterator[Display | None]:
    """The display, which ends with the block, as the source's telling of progress does."""
    try:
        yield display
    finally:
        if source is not None:
            source.progress = unwatched
        if display is not None:
            display.close()
