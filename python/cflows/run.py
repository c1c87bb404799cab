"""A running fit: its epochs, their reports, and the checkpoint file."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from . import _core
from .arguments import check_callback
from .epochs import Augmented, Imputed, Warmup
from .fit_progress import FitProgress
from .history import EpochReport, History

if TYPE_CHECKING:
    from .checkpoint import Checkpoint
    from .flow import Flow

__all__ = ["Callback", "Keeper", "Run", "checkpoint_class"]

Callback = Callable[[EpochReport], Any]

SECONDS_BETWEEN_CHECKPOINTS = 1.0


def checkpoint_class() -> type[Checkpoint]:
    """Imported on use: other fits do not need its modules."""
    from .checkpoint import Checkpoint

    return Checkpoint


class Keeper:
    """Keeps a checkpoint file, of the end of an epoch and not too often."""

    def __init__(
        self, flow: Flow, trainer: _core.Trainer, path: str, config: dict[str, Any], run: Run
    ) -> None:
        self.flow, self.trainer, self.path, self.config, self.run = flow, trainer, path, config, run
        self.due = -math.inf
        self.pending: Checkpoint | None = None  # a snapshot that is not written yet

    def start(self) -> None:
        """Write a snapshot before the first epoch; OSError at once where that fails."""
        self._write(self._snapshot())

    def keep(self) -> None:
        """Take a snapshot after an epoch, and write it unless one was written a moment ago."""
        self.pending = self._snapshot()
        if time.monotonic() >= self.due:
            self.finish()

    def finish(self) -> None:
        """Write the last snapshot, if it is not written yet. A full disk does not end a fit."""
        if self.pending is None:
            return
        try:
            self._write(self.pending)
            self.pending = None
        except OSError as error:
            message = f"the checkpoint was not written, an older one may be there: {error}"
            warnings.warn(message, RuntimeWarning, stacklevel=2)
        self.due = time.monotonic() + SECONDS_BETWEEN_CHECKPOINTS

    def _snapshot(self) -> Checkpoint:
        """The state of the fit, with the history of the epochs before this run.

        `_write` extends it by the epochs since: a copy in every epoch would take quadratic time.
        """
        return checkpoint_class()(
            self.config,
            {name: array.copy() for name, array in self.flow.parameters.items()},
            {name: array.copy() for name, array in self.flow.buffers.items()},
            {**self.trainer.state(), **self.run.rows_of_epoch.state()},
            self.run.history,
        )

    def _write(self, snapshot: Checkpoint) -> None:
        epochs = snapshot.state["epoch"] - len(snapshot.history.train)
        history = snapshot.history.extended(self.run.reports[:epochs], "interrupted")
        snapshot._replace(history=history).write(self.path)


class Run:
    """A running fit."""

    progress: FitProgress | None = None
    keeper: Keeper | None = None

    def __init__(
        self,
        trainer: _core.Trainer,
        rows: int,
        callback: Callback | None,
        changing: tuple[Warmup, Augmented | Imputed],
    ) -> None:
        check_callback(callback)
        self.trainer, self.rows, self.callback = trainer, rows, callback
        self.warmup, self.rows_of_epoch = changing
        self.history = History()  # of the epochs before this run
        self.reports: list[EpochReport] = []
        self.start = time.monotonic()

    def run(self) -> History:
        """Run epochs until there is a reason to stop."""
        if self.history.seconds:
            self.start -= self.history.seconds[-1]
        try:
            stop = self._epochs()
        except KeyboardInterrupt:
            stop = "interrupted"
        except BaseException:
            with suppress(Exception):  # the first error is the one to report
                self._finish()
            raise
        self._finish()
        return self.history.extended(self.reports, stop)

    def _finish(self) -> None:
        self.trainer.finish()
        self.trainer.close()
        if self.progress is not None:
            self.progress.close()
        if self.keeper is not None:
            self.keeper.finish()

    def _epochs(self) -> str:
        if self.keeper is not None:
            self.keeper.start()
        stop = self.trainer.stop()
        while stop is None:
            stop = self._epoch()
        return stop

    def _epoch(self) -> str | None:
        epoch = len(self.history.train) + len(self.reports)
        self.rows_of_epoch.start(epoch)
        poll = None if self.progress is None else self._poll
        found = self.trainer.epoch(poll, self.warmup.weight(epoch))
        if found is None:
            return "interrupted"
        report = self._report(found)
        self.reports.append(report)
        if self.keeper is not None:
            self.keeper.keep()
        if self.progress is not None:
            self.progress.update(report, self.rows)
        stopped = self.callback is not None and self.callback(report)
        return report.stop or ("callback" if stopped else None)

    def _report(self, found: tuple[Any, ...]) -> EpochReport:
        *head, penalty = found
        return EpochReport._make((*head, time.monotonic() - self.start, penalty))

    def _poll(self, found: tuple[Any, ...], rows: int) -> None:
        if self.progress is not None:
            self.progress.update(self._report(found), rows)
