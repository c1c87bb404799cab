"""Live progress of a fit."""

from __future__ import annotations

import math

from .history import EpochReport
from .progress import Display, new_display, watched

__all__ = ["FitProgress", "new_fit_progress"]


def new_fit_progress(shown: bool | str, epochs: int, rows: int, done: int) -> FitProgress | None:
    """The progress of a fit of `epochs` epochs of `rows` rows; `done` epochs are complete.

    Parameters
    ----------
    shown : bool or 'auto'
        'auto' shows it on a terminal and in a notebook.

    Returns
    -------
    FitProgress or None
        None also if the standard error cannot be written.

    Raises
    ------
    ValueError
        If `shown` is anything else.
    """
    if not isinstance(shown, bool) and not (isinstance(shown, str) and shown == "auto"):
        raise ValueError(f"progress must be True, False or 'auto', got {shown!r}")
    if shown is False or (shown == "auto" and not watched()):
        return None
    display = new_display(epochs * rows, done * rows)
    return None if display is None else FitProgress(display, epochs, rows)


class FitProgress:
    """Shows the epoch, the part of all epochs, the losses and the rows a second.

    A fit may end before its last epoch, which is said while it runs and when it has.

    Parameters
    ----------
    display : Display
    epochs : int
        The maximum number of epochs.
    rows : int
        Rows of one epoch.
    """

    def __init__(self, display: Display, epochs: int, rows: int) -> None:
        self.display, self.epochs, self.rows = display, epochs, rows
        self.validation = math.nan
        self.epoch = 0

    def update(self, report: EpochReport, rows: int) -> None:
        """Show an epoch of which `rows` rows are done."""
        if report.validation == report.validation:
            self.validation = report.validation
        losses = [("loss", report.train), ("validation", self.validation)]
        known = [f"{name} {loss:.4f}" for name, loss in losses if loss == loss]
        self.epoch = report.epoch
        done = (report.epoch - 1) * self.rows + rows
        title = self._title(" at most")
        self.display.update(title, done, self.epochs * self.rows, ", ".join(known))

    def close(self) -> None:
        """End the display."""
        self.display.close(self._title(", stopped early") if self.epoch else "")

    def _title(self, early: str) -> str:
        """Which epoch it is of how many there may be."""
        return f"epoch {self.epoch}/{self.epochs}{early if self.epoch < self.epochs else ''}"
