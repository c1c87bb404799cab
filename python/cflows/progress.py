"""Live progress of a fit: a bar where tqdm is installed, plain lines otherwise."""

from __future__ import annotations

import math
import sys
import time
import warnings
from contextlib import suppress
from importlib import import_module
from typing import Any

from .history import EpochReport

_SECONDS_BETWEEN_LINES = 2.0


def new_progress(shown: bool | str, epochs: int, rows: int, done: int) -> Progress | None:
    """The progress display of a fit of `epochs` epochs of `rows` rows; `done` epochs are complete.

    Parameters
    ----------
    shown : bool or 'auto'
        'auto' shows it on a terminal and in a notebook.

    Returns
    -------
    Progress or None
        None also if the standard error cannot be written.

    Raises
    ------
    ValueError
        If `shown` is anything else.
    """
    if not isinstance(shown, bool) and not (isinstance(shown, str) and shown == "auto"):
        raise ValueError(f"progress must be True, False or 'auto', got {shown!r}")
    if shown is False or sys.stderr is None:
        return None
    with suppress(Exception):  # such as a closed stream
        if shown == "auto" and not _watched():
            return None
        bar = _new_bar(epochs * rows, done * rows) if _watched() else None
        return Lines(epochs, rows, done) if bar is None else Bar(epochs, rows, bar)
    return None


def _watched() -> bool:
    return "ipykernel" in sys.modules or sys.stderr.isatty()


def _new_bar(total: int, done: int) -> Any:
    """None without tqdm."""
    try:
        with warnings.catch_warnings():
            # A notebook without ipywidgets gets the bar of terminals.
            warnings.simplefilter("ignore")
            bar = import_module("tqdm.auto" if "ipykernel" in sys.modules else "tqdm").tqdm
    except ImportError:
        return None
    return bar(total=total, initial=done, unit=" rows", unit_scale=True, file=sys.stderr)


class Progress:
    """Shows the epoch, the part of all epochs, the losses and the rows a second.

    A fit may end before its last epoch, which is said while it runs and when it has. If showing
    fails, as on a closed terminal, progress ends and the fit continues.

    Parameters
    ----------
    epochs : int
        The maximum number of epochs.
    rows : int
        Rows of one epoch.
    """

    def __init__(self, epochs: int, rows: int) -> None:
        self.epochs, self.rows = epochs, rows
        self.validation = math.nan
        self.epoch = 0
        self.ended = False

    def update(self, report: EpochReport, rows: int) -> None:
        """Show an epoch of which `rows` rows are done."""
        if self.ended:
            return
        if report.validation == report.validation:
            self.validation = report.validation
        losses = [("loss", report.train), ("validation", self.validation)]
        known = [f"{name} {loss:.4f}" for name, loss in losses if loss == loss]
        self.epoch = report.epoch
        try:
            self.show((report.epoch - 1) * self.rows + rows, ", ".join(known))
        except Exception:
            self.close()

    def close(self) -> None:
        """End the display."""
        self.ended = True
        with suppress(Exception):
            self.finish()

    def title(self) -> str:
        """Which epoch it is of how many there may be."""
        early = ", stopped early" if self.ended else " at most"
        return f"epoch {self.epoch}/{self.epochs}{early if self.epoch < self.epochs else ''}"

    def show(self, rows: int, losses: str) -> None:
        """Show that `rows` rows of all epochs together are done."""
        raise NotImplementedError

    def finish(self) -> None:
        raise NotImplementedError


class Bar(Progress):
    """A bar of tqdm, which shows rows and rows a second itself."""

    def __init__(self, epochs: int, rows: int, bar: Any) -> None:
        super().__init__(epochs, rows)
        self.bar = bar

    def show(self, rows: int, losses: str) -> None:
        self.bar.set_description_str(self.title(), refresh=False)
        self.bar.set_postfix_str(losses, refresh=False)
        self.bar.update(rows - self.bar.n)

    def finish(self) -> None:
        if self.epoch:
            self.bar.set_description_str(self.title(), refresh=False)
        self.bar.close()


class Lines(Progress):
    """A line every few seconds, and one at the end."""

    def __init__(self, epochs: int, rows: int, done: int) -> None:
        super().__init__(epochs, rows)
        self.last_line = time.monotonic()
        self.told = done * rows
        self.line = ""

    def show(self, rows: int, losses: str) -> None:
        now = time.monotonic()
        rate = (rows - self.told) / max(now - self.last_line, 1e-9)
        words = f"{losses}, {rate:,.0f} rows/s" if losses else f"{rate:,.0f} rows/s"
        self.line = f", {rows / (self.epochs * self.rows):.0%}: {words}"
        if now - self.last_line >= _SECONDS_BETWEEN_LINES:
            self._print()
            self.last_line, self.told = now, rows

    def finish(self) -> None:
        if self.line:
            self._print()

    def _print(self) -> None:
        print(self.title() + self.line, file=sys.stderr, flush=True)
        self.line = ""
