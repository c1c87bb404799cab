"""Importance sampling with a flow as the proposal: `Flow.importance_sample`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .arguments import integer
from .target_steps import Target, context_rows, log_density_of, one_row

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from .flow import Flow

__all__ = ["Importance", "importance_sample"]


@dataclass(frozen=True, repr=False)
class Importance:
    """What `Flow.importance_sample` returns.

    Attributes
    ----------
    x : ndarray, shape (n, features)
        Samples of the flow.
    log_weights : ndarray, shape (n,)
        ``log p(x) - log q(x)``, the target's log-density less the flow's.
    weights : ndarray, shape (n,)
        Their exponentials, scaled to a sum of 1: ``weights @ f(x)`` estimates the mean of f.
    log_evidence : float
        ``log mean exp(log_weights)``, an estimate of the logarithm of the target's integral.
    effective_sample_size : float
        ``1 / sum(weights**2)``, from 1 to n.
    """

    x: NDArray[Any]
    log_weights: NDArray[np.float64]
    weights: NDArray[np.float64]
    log_evidence: float
    effective_sample_size: float

    def __repr__(self) -> str:
        return (
            f"Importance({len(self.x)} samples, effective sample size "
            f"{self.effective_sample_size:.4g}, log evidence {self.log_evidence:.4g} nats)"
        )


def importance_sample(
    self: Flow,
    target: Target,
    n: int,
    context: ArrayLike | None = None,
    *,
    seed: int | None = None,
) -> Importance:
    """Samples of the flow with their importance weights for a target.

    Parameters
    ----------
    target : callable
        ``target(x)``, for a flow with context ``target(x, context)``, returns the log-density of
        each row, or a pair that starts with it, as for `fit_target`.
    n : int
        Samples.
    context : array_like, shape (context_features,), optional
        For a flow with context, and only then; `target` gets its columns in the flow's order.
    seed : int, optional
        Of the samples; None draws one.

    Returns
    -------
    Importance
        Samples, weights, the estimate of the target's integral and the effective sample size.

    Raises
    ------
    ValueError
        If the log-densities have another shape, are NaN or all zero densities, or context is more
        than one row.
    TypeError
        If the target cannot be called, or its log-densities are not real numbers.

    References
    ----------
    Owen 2013, Monte Carlo theory, methods and examples, chapter 9, equations 9.6 and 9.13.

    Examples
    --------
    >>> import numpy as np
    >>> import cflows as cf
    >>> flow = cf.Flow([], features=1)
    >>> found = flow.importance_sample(lambda x: -0.5 * (x[:, 0] - 0.5) ** 2, 10_000, seed=0)
    >>> bool(abs(found.log_evidence - 0.5 * np.log(2 * np.pi)) < 0.02)
    True
    >>> bool(abs(found.weights @ found.x[:, 0] - 0.5) < 0.05)
    True
    """
    if not callable(target):
        raise TypeError(f"target must be callable, got {target!r}")
    n = integer("n", n, 1)
    row = one_row(context_rows(self, context))
    x, log_prob = self.sample_and_log_prob(n, context=row, seed=seed)
    x, log_prob = x.reshape(n, self.features), log_prob.reshape(n)
    given = () if row is None else (np.atleast_2d(row),)
    log_weights = log_density_of(target(x, *given), n) - log_prob.astype(np.float64)
    largest = log_weights.max()
    if not math.isfinite(largest):
        raise ValueError(
            "the largest log-weight, the target's log-density less the flow's, must be finite, "
            f"got {largest}"
        )
    weights = np.exp(log_weights - largest)
    total = float(weights.sum())
    weights /= total
    return Importance(
        x,
        log_weights,
        weights,
        float(largest) + math.log(total / n),
        float(1.0 / np.sum(weights**2)),
    )
