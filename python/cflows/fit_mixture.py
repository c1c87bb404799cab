"""Learning the members of an ensemble together, as components of one density."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from . import _core
from ._core import Optimizer
from .arguments import check_callback, checked_seed, with_hints
from .clusters import clusters, numbers_for_clusters
from .data_warnings import DataWarning, warn_of_data
from .fit_members import (
    data_of_fit,
    naming,
    numbers_of_member,
    options_of_fit,
    side_by_side,
)
from .fit_progress import new_fit_progress
from .fitting import DEFAULT_PATIENCE, Data, FitOptions, new_run
from .history import EpochReport, History
from .member_draws import uniform_for_clusters
from .named import known_names, learn_names, warn_of_repeated_names
from .refused_rows import Names, explaining
from .run import Callback
from .training_rows import TrainingRows, with_weight

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from .ensembles import Ensemble
    from .flow import Flow

__all__ = ["fit_mixture"]

Float = NDArray[np.float64]
Show = Callable[[EpochReport, int], None]

# Rows of which a member explains less are not among its own in an epoch.
_LEAST = 1e-6
_AT_ONCE = 1 << 16


@with_hints
def fit_mixture(
    self: Ensemble,
    x: ArrayLike,
    context: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    *,
    start: Literal["clusters", "members"] = "clusters",
    validation: float | ArrayLike | tuple[Any, ...] | None = 0.1,
    epochs: int = 100,
    batch_size: int | None = None,
    optimizer: Optimizer | None = None,
    clip_norm: float | None = 5.0,
    patience: int | None = DEFAULT_PATIENCE,
    seed: int | None = None,
    progress: bool | Literal["auto"] = "auto",
    callback: Callback | None = None,
) -> History:
    """Learn members and weights together, by the likelihood of the mixture.

    Maximises ``sum_i w_i log sum_k pi_k p_k(x_i)``, whose gradient with respect to the parameters
    of member k is ``sum_i w_i r_ik grad log p_k(x_i)`` with the responsibilities
    ``r_ik = pi_k p_k(x_i) / sum_j pi_j p_j(x_i)``. Each epoch is a round of generalised
    expectation maximisation: the responsibilities of all rows, the weights of the ensemble,
    ``pi_k = sum_i w_i r_ik / sum_i w_i``, then an epoch of `Flow.fit` of each member, side by side,
    with the row weights ``w_i r_ik``.

    Parameters
    ----------
    x, context, weights, validation
        As of `Flow.fit`.
    start : {'clusters', 'members'}, default 'clusters'
        Whether members that are not learned yet have in the first tenth of the epochs rows of
        their own, the clusters that k-means finds, by which they are standardised; or the
        responsibilities are those of the members as they are, to go on with a mixture.
    epochs, batch_size, optimizer, clip_norm, patience
        As of `Flow.fit`, of every member. The learning rate is constant.
    seed : int, optional
        Of the split, the clusters and, as of `Ensemble.fit`, each member's order of rows.
    progress, callback
        As of `Flow.fit`. Losses of an epoch are those of the mixture after it.

    Returns
    -------
    History
        Of the mixture. Ctrl-C ends the fit early, with the best weights in place.

    Raises
    ------
    ValueError, TypeError, RuntimeError, NumericalError
        As of `Flow.fit`, with the number of the member where it is one's.

    See Also
    --------
    Ensemble.responsibilities : to which member rows belong.

    Notes
    -----
    Rows of which a member explains less than 1e-6 are left out of its epoch, so that with
    components apart an epoch costs that of one flow, beside scoring all rows by all members.

    A flow can bend into several shapes, and so may a member: components are what the data leave
    apart, and where they overlap there are many ways to share them.

    References
    ----------
    Dempster, Laird and Rubin 1977, Maximum likelihood from incomplete data via the EM algorithm,
    J. R. Stat. Soc. B 39(1).
    Neal and Hinton 1998, A view of the EM algorithm that justifies incremental, sparse, and other
    variants.

    Examples
    --------
    >>> import numpy as np
    >>> import cflows as cf
    >>> rng = np.random.default_rng(0)
    >>> x = np.concatenate([rng.normal(-4, 1, size=(300, 2)), rng.normal(4, 1, size=(100, 2))])
    >>> model = cf.ensemble(cf.realnvp, members=2, features=2, layers=2, hidden=(8,), seed=0)
    >>> history = model.fit_mixture(x, epochs=5, seed=0, progress=False)
    >>> sorted(model.weights.round(1).tolist())
    [0.2, 0.8]
    """
    if start not in ("clusters", "members"):
        raise ValueError(f"start must be 'clusters' or 'members', got {start!r}")
    check_callback(callback)
    seed = checked_seed(seed)
    data = data_of_fit(self, x, context, weights, validation, seed)
    names = known_names(cast("Flow", self), x, context)
    given = {
        "epochs": epochs,
        "batch_size": batch_size,
        "optimizer": optimizer,
        "clip_norm": clip_norm,
        "patience": patience,
    }
    options = options_of_fit(self, data, names, seed, given)
    warn_of_repeated_names(cast("Flow", self), x, context)
    with warnings.catch_warnings():
        if len(self) > 1:  # each group has a member
            warnings.filterwarnings("ignore", ".*: in groups far apart", DataWarning)
        warn_of_data(self.flows[0], data[0], data[1], None, names, False)
    for k, flow in enumerate(self.flows):
        with naming(k), new_run(flow, data, names, options, None):
            pass  # all is checked, and nothing has changed
    shown = new_fit_progress(progress, options.epochs, data[0].counted, 0)
    learn_names(cast("Flow", self), x, context)
    fit = _Mixture(self, data, names, options, callback)
    try:
        return fit.run(start == "clusters", None if shown is None else shown.update)
    except KeyboardInterrupt:
        return History().extended(fit.reports, "interrupted")
    finally:
        fit.put_best()
        if shown is not None:
            shown.close()


class _Mixture:
    """A fit under way."""

    def __init__(
        self,
        model: Ensemble,
        data: Data,
        names: tuple[Names, Names],
        options: FitOptions,
        callback: Callback | None,
    ) -> None:
        self.names = names
        self.model, self.options, self.callback = model, options, callback
        self.rows, self.held_out = data
        rows = self.rows
        self.row_weights = np.ones(len(rows)) if rows.weights is None else rows.weights
        self.states: list[dict[str, Any] | None] = [None] * len(model)
        self.reports: list[EpochReport] = []
        self.best: list[Any] | None = None
        self.best_loss, self.waited, self.began = math.inf, 0, time.monotonic()
        self.interrupted = False

    def run(self, by_clusters: bool, show: Show | None) -> History:
        shares = self._clusters() if by_clusters else self._shares(self._scores(self.rows))
        stop = None
        while stop is None:
            self.model.weights = self._means(shares)
            rate, steps = self._epoch(shares)
            if self.interrupted:
                return History().extended(self.reports, "interrupted")
            scores = self._scores(self.rows)
            if not by_clusters or 10 * len(self.reports) >= self.options.epochs - 10:
                self.model.weights = self._means(self._shares(scores))
                shares = self._shares(scores)
            report = self._report(self._loss(scores, self.row_weights), rate, steps)
            if show is not None:
                show(report, self.rows.counted)
            stopped = self.callback is not None and self.callback(report)
            stop = report.stop or ("callback" if stopped else None)
        return History().extended(self.reports, stop)

    def _report(self, train: float, rate: float, steps: int) -> EpochReport:
        """Of an epoch that has ended; its state is kept if it is the best."""
        validation = self._validate()
        better = validation < self.best_loss
        if better:
            self.best_loss, self.best = validation, self._snapshot()
        self.waited = 0 if better else self.waited + 1
        epoch, stop = len(self.reports) + 1, None
        if epoch == self.options.epochs:
            stop = "epochs"
        elif self.options.patience and self.waited >= self.options.patience:
            stop = "patience"
        states = [state for state in self.states if state is not None]
        report = EpochReport(
            epoch,
            sum(state["step"] for state in states),
            steps,
            sum(state["skipped"] for state in states),
            train,
            validation,
            rate,
            better,
            stop,
            time.monotonic() - self.began,
        )
        self.reports.append(report)
        return report

    def put_best(self) -> None:
        """Put the state of the best epoch in place, if there is one."""
        if self.best is None:
            return
        weights, tensors = self.best
        self.model.__dict__["_weights"] = weights
        for flow, (parameters, buffers) in zip(self.model.flows, tensors, strict=True):
            for name, array in parameters.items():
                flow.parameters[name][...] = array
            for name, array in buffers.items():
                flow.buffers[name][...] = array

    def _snapshot(self) -> list[Any]:
        return [self.model.weights, [flow._snapshot() for flow in self.model.flows]]

    # -- expectation -- #

    def _clusters(self) -> Float:
        count = len(self.model)
        u = uniform_for_clusters(self.options.numbers["seed"], numbers_for_clusters(count))
        return np.eye(count)[clusters(self.rows, count, u)]

    def _scores(self, rows: TrainingRows) -> Float:
        """The log-density of every row under every member."""
        found = np.empty((len(rows), len(self.model)))
        for first in range(0, len(rows), _AT_ONCE):
            some: Any = slice(first, first + _AT_ONCE)
            some = some if rows.index is None else rows.index[some]
            context = rows.context
            if context is not None and context.ndim == 2 and len(context) == len(rows.x):
                context = context[some]
            found[first : first + _AT_ONCE] = self.model.log_probs(rows.x[some], context)
        return found

    def _shares(self, scores: Float) -> Float:
        """The responsibilities; those of a row that no member explains are the weights."""
        shares = self.model._mixed(scores)[1]
        return np.where(np.isfinite(shares), shares, self.model.weights)

    def _means(self, shares: Float) -> Float:
        means: Float = self.row_weights @ shares
        return means

    def _loss(self, scores: Float, weights: Float) -> float:
        return -float(weights @ self.model._mixed(scores)[0] / weights.sum())

    def _validate(self) -> float:
        rows = self.held_out
        if rows is None:
            return math.nan
        weights = np.ones(len(rows)) if rows.weights is None else rows.weights
        return self._loss(self._scores(rows), weights)

    # -- maximisation -- #

    def _epoch(self, shares: Float) -> tuple[float, int]:
        """An epoch of each member; the learning rate, and all steps."""
        tasks = [partial(self._member, k, shares[:, k]) for k in range(len(self.model))]
        found = side_by_side(tasks, self._stop)
        for k, result in enumerate(found):
            if isinstance(result, BaseException):
                rows = (self.rows, self.held_out)
                with naming(k), explaining(self.model.flows[k], *rows, self.names):
                    raise result
        reports = [report for report in found if report is not None]
        rates = [report[6] for report in reports]
        return max(rates, default=math.nan), sum(report[2] for report in reports)

    def _member(self, k: int, share: Float) -> tuple[Any, ...] | None:
        """What an epoch of a member reports; None if it was cut short, or no row is its own."""
        weights = np.where(share >= _LEAST, share, 0.0) * self.row_weights
        rows = with_weight(replace(self.rows, weights=weights))
        if not weights.any():
            return None
        options, flow = self.options, self.model.flows[k]
        trainer = _core.Trainer(
            flow,
            flow._loss,
            rows.arrays,
            None,
            options.optimizer,
            options.schedule,
            epochs=options.epochs,
            patience=0,
            **numbers_of_member(options, k, rows),
        )
        with closing(trainer):
            state = self.states[k]
            if state is not None:
                trainer.load_state(state)
            report = trainer.epoch(self._poll)
            if report is not None:
                self.states[k] = trainer.state()
            trainer.finish()
        return report

    def _poll(self, report: tuple[Any, ...], rows: int) -> None:
        if self.interrupted:
            raise KeyboardInterrupt

    def _stop(self) -> None:
        self.interrupted = True
