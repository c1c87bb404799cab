"""Summaries of fits, and exit statuses."""

from __future__ import annotations

from ..history import History

# The shell's convention for a program that a signal ended: 128 + its number.
INTERRUPTED = 130  # SIGINT
NOBODY_READS = 141  # SIGPIPE


def summary(history: History) -> str:
    """The result of a fit, in a line or two."""
    if not history.train:
        return f"{history.stopped} before the first epoch was through"
    reason = {
        "epochs": "all done",
        "patience": "no improvement for long enough",
        "interrupted": "interrupted",
    }[history.stopped]
    lines = [
        f"{len(history.train):,} epochs ({reason}), {history.steps[-1]:,} steps, "
        f"{history.seconds[-1]:.1f} s"
    ]
    if history.best_epoch is not None:
        best = history.validation[history.best_epoch - 1]
        lines.append(
            f"negative log-likelihood {best:.4f} nats a row on the rows held out, "
            f"in epoch {history.best_epoch:,}"
        )
    else:
        lines.append(f"negative log-likelihood {history.train[-1]:.4f} nats a row while learning")
    if history.skipped:
        lines.append(f"{history.skipped:,} steps skipped, their gradients having overflowed")
    return "\n".join(lines)
