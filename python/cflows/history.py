"""What a fit reports: an epoch at a time, and as a whole."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

__all__ = ["EpochReport", "History"]


class EpochReport(NamedTuple):
    """One epoch. Losses are mean negative log-likelihoods in nats a row."""

    epoch: int  #: from 1
    step: int  #: steps taken so far
    steps_per_epoch: int
    skipped: int  #: steps so far whose loss or gradient was not finite
    train: float  #: mean over the epoch's batches, as they came
    validation: float  #: NaN without validation data
    learning_rate: float  #: at the epoch's first step
    best: bool  #: whether the validation loss is the best so far
    stop: str | None  #: 'epochs' or 'patience' if the core stops here


@dataclass
class History:
    """What `Flow.fit` returns: one entry an epoch in each list.

    Attributes
    ----------
    train : list of float
        Mean negative log-likelihood of the training rows, in nats, over the epoch's batches.
    validation : list of float or None
        Of the validation rows after the epoch; None where there are none.
    learning_rate : list of float
        At the epoch's first step.
    steps : list of int
        Steps taken since the start.
    seconds : list of float
        Since the start, interruptions not counted.
    skipped : int
        Steps left out because the loss or its gradient was not finite.
    stopped : str
        'epochs' (all were run), 'patience', 'callback' or 'interrupted'.
    best_epoch : int or None
        Number, from 1, of the epoch whose weights were kept; None without validation.
    """

    train: list[float] = field(default_factory=list)
    validation: list[float | None] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    skipped: int = 0
    stopped: str = "running"
    best_epoch: int | None = None

    def add(self, report: EpochReport, seconds: float) -> None:
        """Append an epoch."""
        validation = None if report.validation != report.validation else report.validation
        self.train.append(report.train)
        self.validation.append(validation)
        self.learning_rate.append(report.learning_rate)
        self.steps.append(report.step)
        self.seconds.append(seconds)
        self.skipped = report.skipped
        if report.best:
            self.best_epoch = report.epoch

    def to_dict(self) -> dict[str, Any]:
        """Return the same as plain lists and numbers."""
        return asdict(self)

    def __repr__(self) -> str:
        if not self.train:
            return f"History(no epochs, stopped={self.stopped!r})"
        words = [
            f"{len(self.train)} epochs",
            f"{self.steps[-1]} steps",
            f"{self.seconds[-1]:.1f} s",
        ]
        words.append(f"train {self.train[-1]:.4f} nats")
        if self.best_epoch is not None:
            best = self.validation[self.best_epoch - 1]
            words.append(f"best validation {best:.4f} nats in epoch {self.best_epoch}")
        if self.skipped:
            words.append(f"{self.skipped} steps skipped")
        return f"History({', '.join(words)}, stopped={self.stopped!r})"
