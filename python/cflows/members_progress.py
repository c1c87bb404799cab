"""The progress of several fits at once, and how they are told to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from .fit_progress import FitProgress, new_fit_progress
from .history import EpochReport

__all__ = ["MembersProgress"]


class MembersProgress:
    """One display of all members' epochs, and one stop for all.

    Parameters
    ----------
    shown : bool or 'auto'
        As of `new_fit_progress`.
    members, epochs, rows : int
        How many; the maximum number of epochs of each, and the rows of one.
    callback : callable or None
        ``callback(member, report)``; called by one member at a time.
    """

    def __init__(
        self,
        shown: bool | str,
        members: int,
        epochs: int,
        rows: int,
        callback: Callable[[int, EpochReport], Any] | None,
    ) -> None:
        self.callback, self.epochs, self.rows = callback, epochs, rows
        self.done = [0] * members
        self.stopped = threading.Event()
        self._lock = threading.RLock()  # a callback may take long, and is one at a time too
        found = new_fit_progress(shown, members * epochs, rows, 0)
        self._display = None if found is None else found.display

    def stop(self) -> None:
        """End all fits as Ctrl-C ends one: at most a tenth of a second later."""
        self.stopped.set()

    def of(self, member: int) -> MemberProgress:
        return MemberProgress(self, member)

    def report(self, member: int, report: EpochReport) -> Any:
        """Call the callback after an epoch; what it returns."""
        with self._lock:
            return None if self.callback is None else self.callback(member, report)

    def show(self, member: int, done: int, epoch: int, losses: str) -> None:
        """Show that so many rows of a member's epochs are done."""
        with self._lock:
            self.done[member] = done
            if self._display is not None:
                total = len(self.done) * self.epochs * self.rows
                title = f"{len(self.done)} members, epoch {epoch}/{self.epochs}"
                self._display.update(title, sum(self.done), total, losses)

    def close(self) -> None:
        if self._display is not None:
            self._display.close("")


class MemberProgress(FitProgress):
    """That of one member, which a `Run` updates from its thread."""

    def __init__(self, shared: MembersProgress, member: int) -> None:
        self.shared, self.member = shared, member

    def update(self, report: EpochReport, rows: int) -> None:
        """Show an epoch of which `rows` rows are done; KeyboardInterrupt if it is to stop."""
        if self.shared.stopped.is_set():
            raise KeyboardInterrupt
        losses = [("loss", report.train), ("validation", report.validation)]
        known = ", ".join(f"{name} {loss:.4f}" for name, loss in losses if loss == loss)
        done = (report.epoch - 1) * self.shared.rows + min(rows, self.shared.rows)
        self.shared.show(self.member, done, report.epoch, known)

    def close(self) -> None:
        """No further epoch of this member is to come."""
        shared = self.shared
        with shared._lock:
            shared.done[self.member] = shared.epochs * shared.rows
