"""Learning an unnormalised density: `Flow.fit_target`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from . import _core
from ._core import Constant, Cosine, Optimizer
from .annealing import Annealing
from .arguments import check_callback, checked_seed, gradient_limit, integer, shown, with_hints
from .arrays import real_array
from .names import array_by_name
from .optim import STEP_SCHEDULES, checked_optimizer, checked_schedule
from .option_names import StepScheduleName, TargetLossName
from .target_history import TargetHistory, TargetReport
from .target_steps import (
    CountedTarget,
    StepNumbers,
    Target,
    annealed_steps,
    context_rows,
    drawn_steps,
    one_row,
    weighted_steps,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from .flow import Flow

__all__ = ["fit_target"]


@with_hints
def fit_target(
    self: Flow,
    target: Target,
    context: ArrayLike | None = None,
    *,
    loss: TargetLossName = "reverse_kl",
    path_gradient: bool = False,
    samples: tuple[ArrayLike, ArrayLike] | None = None,
    annealing: Annealing | None = None,
    steps: int = 1000,
    batch_size: int = 256,
    optimizer: Optimizer | None = None,
    schedule: StepScheduleName | Constant | Cosine = "constant",
    clip_norm: float | None = 5.0,
    seed: int | None = None,
    callback: Callable[[TargetReport], Any] | None = None,
) -> TargetHistory:
    """Learn a density p that is known up to a factor, by a divergence from the flow's q.

    Each step draws samples ``x`` of q and asks `target` for ``log p(x)``. With ``w = p(x) / q(x)``

    - 'reverse_kl' minimises KL(q || p), the mean of ``log q(x) - log p(x)`` under q, by its
      gradient through the sampling. It is cheap and precise, but may leave out parts of p;
    - 'forward_kl' minimises KL(p || q) by self-normalised importance weights: the gradient is
      ``-sum(w grad log q(x)) / sum(w)``. It covers p as far as samples of q, or `samples`, do;
    - 'alpha' minimises the logarithm of the integral of ``p**2 / q``, the alpha-divergence with
      alpha = 2, which is also the variance of w. Its gradient is minus the mean of ``grad log q``
      under p**2 / q, to which annealed importance sampling takes samples of q; a buffer keeps them
      with their weights (FAB). It finds parts of p that q leaves out.

    The mean of ``log w``, the ELBO, is at most the logarithm of the integral of p.

    Parameters
    ----------
    target : callable
        ``target(x)``, for a flow with context ``target(x, context)``, returns ``(log_density,
        gradient)`` of a whole batch: arrays of shapes (n,) and (n, features), for x of shape
        (n, features) in the dtype of `Flow.sample`. For 'forward_kl' without path gradients and
        for 'alpha' it may return log_density alone, and be -inf where p is 0. While it runs the
        flow is locked. `CTarget` makes a target of a C function.
    context : array_like, shape (m, context_features) or (context_features,), optional
        For a flow with context, and only then: each sample gets a random row, for 'forward_kl' all
        samples of a step the same; for 'alpha' and with `samples` there is one row. A table is
        matched to the flow's names, and `target` gets its columns in the flow's order.
    loss : {'reverse_kl', 'forward_kl', 'alpha'}
    path_gradient : bool, default False
        For 'reverse_kl' and 'forward_kl': follow the path gradient, the mean of ``(grad log q(x) -
        grad log p(x)) dx`` with weights 1 or w / sum(w), dx through the sampling. Its variance
        vanishes as q comes to p; it costs one more pass through the flow. The target must have a
        density everywhere, and no jumps. Layers act as when the flow is scored, without dropout
        and by the running statistics of normalisations.
    samples : tuple of (array_like, array_like), optional
        For 'forward_kl': points x, (n, features), of another density, and its logarithm there,
        (n,), up to a constant. They are weighted once, and take the place of samples of the flow;
        the report's ``elbo`` is NaN and its other numbers are of these weights.
    annealing : Annealing, optional
        For 'alpha': how it samples, and what the buffer keeps. None is ``Annealing()``.
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
        Ctrl-C ends the fit early, with ``stopped='interrupted'``. Of 'alpha' the numbers of a step
        are those of the flow's samples in the last annealed pass.

    Raises
    ------
    ValueError
        If an argument is out of range, or an array of the target has another shape.
    TypeError
        If an argument is of the wrong kind, or the target does not return a pair.
    RuntimeError
        If the flow is in use by another thread.
    NumericalError
        If 20 steps in a row had a loss or a gradient that was not finite, or no sample with a
        density. The parameters are those of the last step that was made; likewise if the target
        raises an exception.

    See Also
    --------
    importance_sample : samples with weights for the target.

    References
    ----------
    Rezende and Mohamed 2015, Variational inference with normalizing flows, arXiv:1505.05770,
    equation 15.

    Mueller et al. 2019, Neural importance sampling, arXiv:1808.03856.

    Midgley, Stimper, Simm, Schoelkopf and Hernandez-Lobato 2023, Flow annealed importance sampling
    bootstrap, arXiv:2208.01893, algorithm 1.

    Roeder, Wu and Duvenaud 2017, Sticking the landing, arXiv:1703.09194.

    Vaitl, Nicoli, Nakajima and Kessel 2022, Gradients should stay on path, arXiv:2207.08219.

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
    _check_loss(loss, path_gradient, samples, annealing)
    check_callback(callback)
    optimizer = checked_optimizer(optimizer)
    steps = integer("steps", steps, 1)
    batch_size = integer("batch_size", batch_size, 1)
    seed = checked_seed(seed)
    row = context_rows(self, context)
    if loss == "alpha" or samples is not None:
        row = one_row(row)
    given = None if samples is None else _proposal(self, samples)
    trainer = _core.TargetTrainer(
        self,
        row,
        optimizer,
        checked_schedule(schedule, STEP_SCHEDULES),
        steps=steps,
        batch_size=batch_size,
        clip_norm=gradient_limit(clip_norm),
        seed=seed,
        forward=loss == "forward_kl",
        path_gradient=path_gradient,
    )
    rng = np.random.Generator(np.random.Philox(seed))
    counted = CountedTarget(target, row)
    try:
        if given is not None:
            source = weighted_steps(trainer, counted, *given, batch_size, rng)
        elif loss == "alpha":
            source = annealed_steps(trainer, counted, annealing or Annealing(), batch_size, rng)
        else:
            source = drawn_steps(trainer, target, batch_size)
        reports, stopped = _run(source, steps, callback)
    finally:
        trainer.close()
    return _history(reports, stopped)


def _check_loss(loss: Any, path_gradient: Any, samples: Any, annealing: Any) -> None:
    """TypeError or ValueError unless the loss is one, and the options are its own."""
    if loss not in get_args(TargetLossName):
        raise ValueError(f"loss must be 'reverse_kl', 'forward_kl' or 'alpha', got {shown(loss)}")
    if not isinstance(path_gradient, (bool, np.bool_)):
        raise TypeError(f"path_gradient must be True or False, got {shown(path_gradient)}")
    if path_gradient and (loss == "alpha" or samples is not None):
        raise ValueError(
            "path_gradient is for samples of the flow, of loss='reverse_kl' or 'forward_kl' "
            "without samples"
        )
    if samples is not None and loss != "forward_kl":
        raise ValueError(f"samples are for loss='forward_kl', got loss={loss!r}")
    if annealing is not None and loss != "alpha":
        raise ValueError(f"annealing is for loss='alpha', got loss={loss!r}")
    if not isinstance(annealing, (Annealing, type(None))):
        raise TypeError(f"annealing must be an Annealing or None, got {shown(annealing)}")


def _proposal(flow: Flow, samples: Any) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """The points and their log-density that a user gave."""
    if not (isinstance(samples, tuple) and len(samples) == 2):
        raise TypeError(f"samples must be a tuple (x, log_density), got {shown(samples)}")
    x = real_array("x of samples", array_by_name(flow, "x", samples[0]))
    log_density = real_array("log_density of samples", samples[1]).astype(np.float64)
    if x.shape[1:] != flow.shape or x.ndim == 0 or len(x) == 0:
        shape = ", ".join(map(str, flow.shape))
        raise ValueError(f"x of samples must have shape (n, {shape}), got {x.shape}")
    if log_density.shape != (len(x),):
        raise ValueError(
            f"log_density of samples must have shape ({len(x)},), got {log_density.shape}"
        )
    if not np.isfinite(log_density).all():
        row = int(np.flatnonzero(~np.isfinite(log_density))[0])
        raise ValueError(
            f"log_density of samples must be finite, got {log_density[row]} in row {row}"
        )
    return x, log_density


def _run(
    source: Iterator[StepNumbers], steps: int, callback: Callable[[TargetReport], Any] | None
) -> tuple[list[TargetReport], str]:
    reports: list[TargetReport] = []
    start = time.monotonic()
    try:
        for step, found in zip(range(1, steps + 1), source, strict=False):
            report = TargetReport(
                step,
                found.weights.elbo,
                found.weights.effective_sample_size,
                found.skipped,
                time.monotonic() - start,
                found.loss,
                found.weights.log_evidence,
                found.weights.log_evidence_error,
                found.evaluations,
            )
            reports.append(report)
            if callback is not None and callback(report):
                return reports, "callback"
    except KeyboardInterrupt:
        return reports, "interrupted"
    return reports, "steps"


def _history(reports: list[TargetReport], stopped: str) -> TargetHistory:
    def column(name: str, dtype: Any = np.float64) -> NDArray[Any]:
        return np.array([getattr(report, name) for report in reports], dtype)

    return TargetHistory(
        column("elbo"),
        column("effective_sample_size"),
        column("seconds"),
        sum(report.skipped for report in reports),
        stopped,
        column("loss"),
        column("log_evidence"),
        column("log_evidence_error"),
        column("evaluations", np.int64),
    )
