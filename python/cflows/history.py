"""What a fit reports: each epoch, and the whole history."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

__all__ = ["EpochReport", "History"]


class EpochReport(NamedTuple):
    """One epoch. Losses are mean negative log-likelihoods in nats a row.

    Attributes
    ----------
    epoch : int
        From 1.
    step : int
        Steps taken since the start.
    steps_per_epoch : int
    skipped : int
        Steps since the start whose loss or gradient was not finite.
    train : float
        Mean over the epoch's batches, each before its step.
    validation : float
        After the epoch; NaN without validation rows.
    learning_rate : float
        At the epoch's first step.
    best : bool
        Whether the validation loss is the best so far.
    stop : str or None
        Why the fit ends here: 'epochs', 'patience' or 'interrupted'; None if it continues.
    seconds : float
        Since the start, interruptions not counted.
    penalty : float
        Mean of what steps minimise beside the loss, such as `Continuous`'s regularisation.
    """

    epoch: int
    step: int
    steps_per_epoch: int
    skipped: int
    train: float
    validation: float
    learning_rate: float
    best: bool
    stop: str | None
    seconds: float
    penalty: float = 0.0


@dataclass(repr=False)
class History:
    """What `Flow.fit` returns: one entry an epoch in each list.

    Attributes
    ----------
    train : list of float
        Mean negative log-likelihood of the training rows, in nats, over the epoch's batches.
    validation : list of float or None
        Of the validation rows after the epoch; None where there are none, or it is not a number.
    learning_rate : list of float
        At the epoch's first step.
    steps : list of int
        Steps taken since the start.
    seconds : list of float
        Since the start, interruptions not counted.
    penalty : list of float
        Mean of what steps minimised beside the loss, such as the regularisation of `Continuous`,
        over the epoch's batches; not part of `train`.
    skipped : int
        Steps left out because the loss or its gradient was not finite.
    stopped : {'epochs', 'patience', 'callback', 'interrupted'}
        Why the fit ended; 'epochs' means that all were run.
    best_epoch : int or None
        Number, from 1, of the epoch whose weights were kept; None if they are the last.

    Examples
    --------
    >>> import cflows as cf
    >>> cf.History(train=[2.5, 2.25], validation=[2.75, 2.5], learning_rate=[0.1, 0.1],
    ...            steps=[10, 20], seconds=[0.5, 1.0], stopped="epochs", best_epoch=2)
    History(2 epochs, 20 steps, 1.0 s, train 2.2500, best validation 2.5000 in epoch 2, \
stopped='epochs')
    """

    train: list[float] = field(default_factory=list)
    validation: list[float | None] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    skipped: int = 0
    stopped: str = "interrupted"
    best_epoch: int | None = None
    penalty: list[float] = field(default_factory=list)

    def extended(self, reports: Iterable[EpochReport], stopped: str) -> History:
        """Return a new history with further epochs, and why they ended."""
        reports = list(reports)
        best = [report.epoch for report in reports if report.best]
        return History(
            self.train + [report.train for report in reports],
            self.validation + [number_or_none(report.validation) for report in reports],
            self.learning_rate + [report.learning_rate for report in reports],
            self.steps + [report.step for report in reports],
            self.seconds + [report.seconds for report in reports],
            reports[-1].skipped if reports else self.skipped,
            stopped,
            best[-1] if best else self.best_epoch,
            self.penalty + [report.penalty for report in reports],
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the same as a dict of lists, numbers and text."""
        return asdict(self)

    def __repr__(self) -> str:
        if not self.train:
            return f"History(no epochs, stopped={self.stopped!r})"
        epochs = len(self.train)
        words = [f"{epochs} epoch{'' if epochs == 1 else 's'}"]
        # A history that a user assembled may lack lists.
        words += [f"{steps} steps" for steps in self.steps[-1:]]
        words += [f"{seconds:.1f} s" for seconds in self.seconds[-1:]]
        words.append(f"train {self.train[-1]:.4f}")
        if any(self.penalty):
            words.append(f"penalty {self.penalty[-1]:.4f}")
        if self.best_epoch is not None:
            best = self.validation[self.best_epoch - 1 : self.best_epoch]
            words += [
                f"best validation {loss:.4f} in epoch {self.best_epoch}"
                for loss in best
                if loss is not None
            ]
        if self.skipped:
            words.append(f"{self.skipped} steps skipped")
        return f"History({', '.join(words)}, stopped={self.stopped!r})"

    def _repr_html_(self) -> str:
        from .summary import history_table

        return history_table(self)


def number_or_none(value: float) -> float | None:
    """None for NaN."""
    return None if value != value else value
