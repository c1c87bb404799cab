"""Learning an unnormalised density and importance sampling: `Flow.fit_target` and related."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import _core
from ._core import Constant, Cosine, Optimizer
from .arguments import check_callback, checked_seed, gradient_limit, integer, with_hints
from .arrays import real_array
from .names import array_by_name
from .optim import STEP_SCHEDULES, checked_optimizer, checked_schedule
from .option_names import StepScheduleName

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from .flow import Flow

__all__ = [
    "Importance",
    "TargetHistory",
    "TargetReport",
    "fit_target",
    "importance_sample",
]

Target = Callable[..., Any]


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
    """

    step: int
    elbo: float
    effective_sample_size: float
    skipped: bool
    seconds: float


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
    """

    elbo: NDArray[np.float64]
    effective_sample_size: NDArray[np.float64]
    seconds: NDArray[np.float64]
    skipped: int
    stopped: str

    def __repr__(self) -> str:
        last = f", elbo {self.elbo[-1]:.4g} nats" if len(self.elbo) else ""
        return f"TargetHistory({len(self.elbo)} steps{last}, stopped: {self.stopped})"


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


@with_hints
def fit_target(
    self: Flow,
    target: Target,
    context: ArrayLike | None = None,
    *,
    steps: int = 1000,
    batch_size: int = 256,
    optimizer: Optimizer | None = None,
    schedule: StepScheduleName | Constant | Cosine = "constant",
    clip_norm: float | None = 5.0,
    seed: int | None = None,
    callback: Callable[[TargetReport], Any] | None = None,
) -> TargetHistory:
    """Learn a density that is known up to a factor, by reverse Kullback-Leibler divergence.

    Each step draws samples ``x`` of the flow's density q, asks `target` for ``log p(x)`` and its
    gradient, and follows the gradient of ``E_q[log q(x) - log p(x)]`` through the sampling; what
    is maximised, the ELBO, is at most the logarithm of the integral of p.

    Parameters
    ----------
    target : callable
        ``target(x)``, for a flow with context ``target(x, context)``, returns ``(log_density,
        gradient)`` of a whole batch: arrays of shapes (n,) and (n, features), for x of shape
        (n, features) in the dtype of `Flow.sample`. While it runs the flow is locked. `CTarget`
        makes a target of a C function.
    context : array_like, shape (m, context_features) or (context_features,), optional
        For a flow with context, and only then: each sample gets a random row. A table is matched
        to the flow's names, and `target` gets its columns in the flow's order.
    steps : int, default 1000
    batch_size : int, default 256
        Samples a step.
    optimizer : Optimizer, optional
        None is ``Adam(1e-3)``.
    schedule : {'constant', 'cosine'} or Constant or Cosine
        Of the learning rate.
    clip_norm : float or None, default 5
        Gradients longer than this are shortened to it; None leaves them.
    seed : int, optional
        Of the samples; None draws one.
    callback : callable, optional
        Called after every step with a `TargetReport`; anything true stops.

    Returns
    -------
    TargetHistory
        Ctrl-C ends the fit early, with ``stopped='interrupted'``.

    Raises
    ------
    ValueError
        If an argument is out of range, or an array of the target has another shape.
    TypeError
        If an argument is of the wrong kind, or the target does not return a pair.
    RuntimeError
        If the flow is in use by another thread.
    NumericalError
        If 20 steps in a row had a loss or a gradient that was not finite. The parameters are those
        of the last step that was made; likewise if the target raises an exception.

    See Also
    --------
    importance_sample : samples with weights for the target.

    References
    ----------
    Rezende and Mohamed 2015, Variational inference with normalizing flows, arXiv:1505.05770,
    equation 15.

    Examples
    --------
    A normal of standard deviation 1/2 around (1, -1), ten times too high:

    >>> import numpy as np
    >>> import cflows as cf
    >>> def target(x):
    ...     z = (x - [1.0, -1.0]) / 0.5
    ...     return np.log(10 / (2 * np.pi * 0.25)) - 0.5 * np.sum(z**2, axis=1), -z / 0.5
    >>> flow = cf.Flow([cf.Affine(learned=True)], features=2, seed=0)
    >>> history = flow.fit_target(target, steps=400, optimizer=cf.Adam(2e-2), seed=0)
    >>> bool(abs(history.elbo[-1] - np.log(10)) < 1e-3)
    True
    """
    if not callable(target):
        raise TypeError(f"target must be callable, got {target!r}")
    check_callback(callback)
    optimizer = checked_optimizer(optimizer)
    steps = integer("steps", steps, 1)
    batch_size = integer("batch_size", batch_size, 1)
    trainer = _core.TargetTrainer(
        self,
        _context_rows(self, context),
        optimizer,
        checked_schedule(schedule, STEP_SCHEDULES),
        steps=steps,
        batch_size=batch_size,
        clip_norm=gradient_limit(clip_norm),
        seed=checked_seed(seed),
    )
    try:
        reports, stopped = _steps(trainer, target, steps, batch_size, callback)
    finally:
        trainer.close()
    return TargetHistory(
        np.array([report.elbo for report in reports]),
        np.array([report.effective_sample_size for report in reports]),
        np.array([report.seconds for report in reports]),
        sum(report.skipped for report in reports),
        stopped,
    )


def _steps(
    trainer: _core.TargetTrainer,
    target: Target,
    steps: int,
    batch_size: int,
    callback: Callable[[TargetReport], Any] | None,
) -> tuple[list[TargetReport], str]:
    reports: list[TargetReport] = []
    start = time.monotonic()
    try:
        for step in range(1, steps + 1):
            elbo, size, skipped = trainer.step(target)
            report = TargetReport(step, elbo, size / batch_size, skipped, time.monotonic() - start)
            reports.append(report)
            if callback is not None and callback(report):
                return reports, "callback"
    except KeyboardInterrupt:
        return reports, "interrupted"
    return reports, "steps"


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
    row = _context_rows(self, context)
    if row is not None and row.ndim == 2 and len(row) != 1:
        raise ValueError(f"context must be one row, got shape {row.shape}")
    x, log_prob = self.sample_and_log_prob(n, context=row, seed=seed)
    x, log_prob = x.reshape(n, self.features), log_prob.reshape(n)
    given = () if row is None else (np.atleast_2d(row),)
    log_weights = _log_density(target(x, *given), n) - log_prob.astype(np.float64)
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


def _context_rows(flow: Flow, context: ArrayLike | None) -> NDArray[Any] | None:
    """The context as an array, its columns in the flow's order: the target sees it too."""
    return None if context is None else array_by_name(flow, "context", context)


def _log_density(result: Any, n: int) -> NDArray[np.float64]:
    """The log-densities of n rows from what a target returned: these, or a pair of which they are
    the first."""
    if isinstance(result, tuple) and len(result) != 2:
        raise TypeError(
            f"the target must return log_density or (log_density, gradient), got {len(result)} "
            "objects"
        )
    try:
        given = result[0] if isinstance(result, tuple) else result
        log_density = real_array("the target's log_density", given)
    except ValueError as error:  # such as a list of arrays of several shapes
        raise TypeError(str(error)) from None
    if log_density.shape != (n,):
        raise ValueError(
            f"the target's log_density must have shape ({n},), got {log_density.shape}"
        )
    return log_density.astype(np.float64)
