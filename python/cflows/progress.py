"""Live progress of a fit: a tqdm bar where it is installed, plain lines otherwise."""

from __future__ import annotations

import sys
import time
from typing import Any

from .history import EpochReport

_SECONDS_BETWEEN_LINES = 2.0


def _text(report: EpochReport, validation: float | None, rate: float) -> str:
    words = [f"loss {report.train:.4f}"]
    if validation is not None:
        words.append(f"validation {validation:.4f}")
    return ", ".join([*words, f"{rate:,.0f} rows/s"])


class Progress:
    """Shows the loss, the last validation loss and the rows a second."""

    def __init__(self, epochs: int, first: int, shown: bool) -> None:
        self.validation: float | None = None
        self.bar: Any = None
        self.epochs, self.shown = epochs, shown
        self.epoch_start = self.last_line = time.monotonic()
        if shown and sys.stderr.isatty():
            try:
                from tqdm import tqdm
            except ImportError:
                return
            self.bar = tqdm(total=epochs, initial=first, unit="epoch", file=sys.stderr)

    def poll(self, report: EpochReport, rows: int) -> None:
        """Show how an epoch that is under way does."""
        if self.shown:
            passed = max(time.monotonic() - self.epoch_start, 1e-9)
            self._show(report, rows / passed)

    def epoch(self, report: EpochReport, rows: int) -> None:
        """Show an epoch that is done."""
        if report.validation == report.validation:
            self.validation = report.validation
        if self.shown:
            passed = max(time.monotonic() - self.epoch_start, 1e-9)
            self._show(report, rows / passed, done=1, last=report.stop is not None)
        self.epoch_start = time.monotonic()

    def _show(self, report: EpochReport, rate: float, done: int = 0, last: bool = False) -> None:
        text = _text(report, self.validation, rate)
        if self.bar is not None:
            self.bar.set_postfix_str(text, refresh=not done)
            self.bar.update(done)
            return
        now = time.monotonic()
        if last or now - self.last_line >= _SECONDS_BETWEEN_LINES:
            self.last_line = now
            print(f"epoch {report.epoch}/{self.epochs}: {text}", file=sys.stderr, flush=True)

    def close(self) -> None:
        """End the bar."""
        if self.bar is not None:
            self.bar.close()
