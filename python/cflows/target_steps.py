"""The steps of `Flow.fit_target`, by loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import _core
from .annealing import Annealer, Annealing, ReplayBuffer, resample
from .arrays import real_array
from .names import array_by_name

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from .flow import Flow

MAX_SKIPPED = 20  # in a row, as in the core's loop


Target = Callable[..., Any]


class WeightNumbers(NamedTuple):
    """What importance weights w = p / q say of q."""

    elbo: float
    effective_sample_size: float  # as a fraction
    log_evidence: float
    log_evidence_error: float


class StepNumbers(NamedTuple):
    """What a step found."""

    loss: float
    weights: WeightNumbers
    skipped: bool
    evaluations: int


def _error(fraction: float, n: int) -> float:
    """The standard error of log mean w by the delta method, from the effective sample size."""
    if n < 2 or not fraction > 0.0:
        return math.nan
    return math.sqrt(max(1.0 / fraction - 1.0, 0.0) / (n - 1))


def numbers_of(log_weight: NDArray[np.float64]) -> WeightNumbers:
    n, largest = len(log_weight), float(log_weight.max())
    if not math.isfinite(largest):
        return WeightNumbers(float(log_weight.mean()), 0.0, largest, math.nan)
    w = np.exp(log_weight - largest)
    total = float(w.sum())
    fraction = total**2 / float(w @ w) / n
    return WeightNumbers(
        float(log_weight.mean()), fraction, largest + math.log(total / n), _error(fraction, n)
    )


class CountedTarget:
    """A target with one context at most, which counts the points that it is asked for."""

    def __init__(self, target: Callable[..., Any], context: NDArray[Any] | None) -> None:
        self.target, self.evaluations = target, 0
        self.context = None if context is None else np.atleast_2d(context)

    def __call__(self, x: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """log p and, if the target gives one, its gradient."""
        n = len(x)
        given = () if self.context is None else (np.repeat(self.context, n, axis=0),)
        self.evaluations += n
        result = self.target(x.copy(), *given)
        log_density = log_density_of(result, n)
        if not isinstance(result, tuple):
            return log_density, None
        gradient = real_array("the target's gradient", result[1])
        if gradient.shape != x.shape:
            raise ValueError(
                f"the target's gradient must have shape {x.shape}, got {gradient.shape}"
            )
        return log_density, gradient.astype(np.float64)


def drawn_steps(
    trainer: _core.TargetTrainer, target: Callable[..., Any], batch_size: int
) -> Iterator[StepNumbers]:
    """Steps on samples of the flow, in the core."""
    evaluations = 0
    while True:
        loss, elbo, size, log_evidence, skipped = trainer.step(target)
        evaluations += batch_size
        fraction = size / batch_size
        weights = WeightNumbers(elbo, fraction, log_evidence, _error(fraction, batch_size))
        yield StepNumbers(loss, weights, skipped, evaluations)


def weighted_steps(
    trainer: _core.TargetTrainer,
    target: CountedTarget,
    x: NDArray[Any],
    log_proposal: NDArray[np.float64],
    batch_size: int,
    rng: np.random.Generator,
) -> Iterator[StepNumbers]:
    """Steps on given points, resampled by their importance weights."""
    log_weight = np.concatenate(
        [target(x[i : i + batch_size])[0] for i in range(0, len(x), batch_size)]
    )
    log_weight -= log_proposal
    largest = log_weight.max()
    if not math.isfinite(largest):
        raise ValueError(
            "the largest log-weight, the target's log-density less that of the samples, must be "
            f"finite, got {largest}"
        )
    weights = numbers_of(log_weight)._replace(elbo=math.nan)
    share = np.full(batch_size, 1.0 / batch_size)
    while True:
        index = resample(log_weight, batch_size, rng)
        loss, skipped = trainer.follow(x[index], share)
        yield StepNumbers(loss, weights, skipped, target.evaluations)


def annealed_steps(
    trainer: _core.TargetTrainer,
    target: CountedTarget,
    settings: Annealing,
    batch_size: int,
    rng: np.random.Generator,
) -> Iterator[StepNumbers]:
    """Steps on the buffer of annealed samples (Midgley et al. 2023, algorithm 1)."""
    annealer = Annealer(trainer, target, settings, batch_size, rng)
    buffer = ReplayBuffer(settings.buffer_batches * batch_size)
    lost = filled = 0
    while True:
        found = annealer.run()
        weights = numbers_of(found.start_log_weight)
        if not weights.log_evidence < math.inf or not buffer.add(found):
            lost += 1
            if lost == MAX_SKIPPED:
                raise _core.NumericalError(LOST.format(lost))
            yield StepNumbers(math.nan, weights, True, target.evaluations)
            continue
        lost, filled = 0, filled + 1
        if filled < settings.initial_batches:
            continue
        for _ in range(settings.updates):
            loss, skipped = _follow_buffer(trainer, buffer, settings, batch_size, rng)
            yield StepNumbers(loss, weights, skipped, target.evaluations)


LOST = (
    "{} passes in a row had samples where the target's log-density is NaN or infinite, or none "
    "where it is finite: a target is -inf where it has no density, and finite at some samples of "
    "the flow; a wider flow or a smaller learning_rate may help"
)


def _follow_buffer(
    trainer: _core.TargetTrainer,
    buffer: ReplayBuffer,
    settings: Annealing,
    batch_size: int,
    rng: np.random.Generator,
) -> tuple[float, bool]:
    assert buffer.x is not None
    index = buffer.draw(batch_size, rng)
    x = buffer.x[index]
    correction = buffer.correct(index, trainer.log_prob(x))
    share = np.minimum(correction, settings.max_correction) / batch_size
    return trainer.follow(x, share)


def log_density_of(result: Any, n: int) -> NDArray[np.float64]:
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


def context_rows(flow: Flow, context: ArrayLike | None) -> NDArray[Any] | None:
    """The context as an array, its columns in the flow's order: the target sees it too."""
    return None if context is None else array_by_name(flow, "context", context)


def one_row(row: NDArray[Any] | None) -> NDArray[Any] | None:
    if row is not None and row.ndim == 2 and len(row) != 1:
        raise ValueError(f"context must be one row, got shape {row.shape}")
    return row
