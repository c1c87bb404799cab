"""What `Flow.fit_target` reports and returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["TargetHistory", "TargetReport"]


class TargetReport(NamedTuple):
    """One step of `Flow.fit_target`.

    Attributes
    ----------
    step : int
        From 1.
    elbo : float
        Mean of ``log p(x) - log q(x)`` over the step's samples, before the step.
    effective_sample_size : float
        ``(sum w)**2 / sum w**2`` of ``w = p(x) / q(x)``, divided by the number of samples.
    skipped : bool
        Whether the loss or its gradient was not finite, so that no step was made.
    seconds : float
        Since the start.
    loss : float
        What the step minimises, estimated before it: log q - log p of 'reverse_kl' (``-elbo``), the
        divergence of 'forward_kl', of given samples and of 'alpha' the cross-entropy
        ``-mean(log q)`` of the weighted samples.
    log_evidence, log_evidence_error : float
        ``log(mean(w))``, an estimate of the logarithm of the target's integral, and its standard
        error by the spread of the weights.
    evaluations : int
        Points at which the target has been asked for its density until now.
    """

    step: int
    elbo: float
    effective_sample_size: float
    skipped: bool
    seconds: float
    loss: float
    log_evidence: float
    log_evidence_error: float
    evaluations: int


@dataclass(frozen=True, repr=False)
class TargetHistory:
    """What `Flow.fit_target` returns.

    Attributes
    ----------
    elbo : ndarray, shape (steps,)
        The evidence lower bound, ``E_q[log p(x) - log q(x)]``, of each step's samples in nats.
    effective_sample_size : ndarray, shape (steps,)
        Of each step's importance weights, as a fraction of the samples.
    seconds : ndarray, shape (steps,)
        Since the start.
    skipped : int
        Steps left out because the loss or its gradient was not finite.
    stopped : {'steps', 'callback', 'interrupted'}
        Why the fit ended.
    loss, log_evidence, log_evidence_error : ndarray, shape (steps,)
        As in `TargetReport`.
    evaluations : ndarray, shape (steps,)
        Points at which the target had been asked for its density, after each step.
    """

    elbo: NDArray[np.float64]
    effective_sample_size: NDArray[np.float64]
    seconds: NDArray[np.float64]
    skipped: int
    stopped: str
    loss: NDArray[np.float64]
    log_evidence: NDArray[np.float64]
    log_evidence_error: NDArray[np.float64]
    evaluations: NDArray[np.int64]

    def __repr__(self) -> str:
        last = f", elbo {self.elbo[-1]:.4g} nats" if len(self.elbo) else ""
        return f"TargetHistory({len(self.elbo)} steps{last}, stopped: {self.stopped})"
