"""Learning by maximum likelihood: arguments, checkpoints and history. The epochs run in C."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from numpy.typing import ArrayLike

from ._core import Criterion, Optimizer, Schedule
from .arguments import with_hints
from .data_warnings import warn_of_data
from .fit_progress import new_fit_progress
from .fitting import (
    DEFAULT_PATIENCE,
    Path,
    checked_options,
    keep,
    new_run,
    read_checkpoint,
    read_data,
    seed_of_fit,
)
from .history import History
from .named import known_names, learn_names, warn_of_repeated_names
from .option_names import ScheduleName
from .run import Callback

if TYPE_CHECKING:
    from .flow import Flow
    from .nn import Function

__all__ = ["fit"]


@with_hints
def fit(
    self: Flow,
    x: ArrayLike,
    context: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    *,
    validation: float | ArrayLike | tuple[Any, ...] | None = 0.1,
    epochs: int = 100,
    batch_size: int | None = None,
    optimizer: Optimizer | None = None,
    schedule: ScheduleName | Schedule = "constant",
    clip_norm: float | None = 5.0,
    patience: int | None = DEFAULT_PATIENCE,
    jitter: ArrayLike | None = None,
    augment: Callable[..., Any] | Sequence[Callable[..., Any]] | None = None,
    kl_warmup: int = 0,
    ema: float | None = None,
    standardize: Literal["once", "again"] = "once",
    missing: Literal["error", "marginal"] = "error",
    missing_draws: int = 20,
    loss: str | Criterion | Function | None = None,
    u: ArrayLike | None = None,
    seed: int | None = None,
    progress: bool | Literal["auto"] = "auto",
    callback: Callback | None = None,
    checkpoint: Path | None = None,
    resume: Path | None = None,
) -> History:
    """Learn the distribution of the rows of `x` by maximum likelihood.

    Minimises the mean negative log-likelihood in shuffled minibatches of ``B`` rows, the loss of
    each being ``sum(w_i l_i) / (B mean(w))`` with the mean over all training rows. The loop runs
    in C, without the GIL.

    Parameters
    ----------
    x : array_like, shape (n, features) or (n, channels, height, width)
        Of finite numbers. An array is read in place, whatever its dtype and layout: also a
        `numpy.memmap` larger than memory.
    context : array_like, shape (n, context_features) or (context_features,), optional
        For a flow with context, and only then.
    weights : array_like, shape (n,), optional
        0 or more; None is 1 for all. Rows of weight 0 are left out. `ActNorm` and `BatchNorm` count
        the others alike.
    validation : float, array_like, tuple or None, default 0.1
        A fraction of the rows to hold out, or other rows: ``x`` or ``(x, context, weights)``, of a
        fit with `u` also ``(x, context, weights, u)``. With it the weights of the best epoch are
        kept; None trains on all rows, and those of the last are.
    epochs : int, default 100
        The maximum number of passes through the rows.
    batch_size : int, optional
        The maximum number of rows in a step, or all rows if there are fewer; None is 256. The
        steps of an epoch differ by at most one row.
    optimizer : Optimizer, optional
        None is ``Adam(1e-3)``.
    schedule : {'constant', 'cosine', 'plateau'} or Constant, Cosine or Plateau
        Of the learning rate; a name is the class with its defaults.
    clip_norm : float or None, default 5
        Gradients longer than this are shortened to it; None, like infinity, leaves them.
    patience : int or None, default 20
        Stop after so many epochs without a better validation loss, if there is one.
    jitter : float or array_like, of a sample's shape, optional
        Uniform noise on ``[0, jitter)``, drawn afresh in every epoch: without it columns of
        integers have an unbounded density. Validation rows get the same noise in every epoch. A
        Series of pandas tells it by the names of columns.
    augment : callable or sequence of callable, optional
        Changes of images that keep their labels, made afresh in every epoch in a copy of `x`, of
        training rows alone: `data.Flip`, `data.Shift`, `data.QuarterTurns` or one's own.
    kl_warmup : int, default 0
        Of a `VAE`: in epoch ``e = 1, 2, ...`` the gradients of ``log p(z) - log q(z|x)`` in encoder
        and posterior have the weight ``min(1, e / (kl_warmup + 1))``. Losses are those of weight 1.
    ema : float, optional
        The decay, from 0 to below 1, of an exponential moving average of the weights:
        after step t it moves by ``1 - min(ema, (1 + t) / (10 + t))`` towards them. The averaged
        weights are then validated and kept.
    standardize : {'once', 'again'}, default 'once'
        Whether the first fit alone sets what standardises x and the context, or this one does
        whatever was set before: for data in other units, which the flow then learns anew.
    missing : {'error', 'marginal'}, default 'error'
        Whether NaN in `x` is an error, or stands for a number that is missing: the likelihood is
        then that of the others in the row, by numbers in its place which the flow itself draws, as
        `impute` does, afresh in every epoch and at first from a normal distribution. Training
        losses are of rows so completed, validation losses of the rows that are complete or, if
        there are not even 20, completed from the normal distribution. Takes a copy of `x`.
    missing_draws : int, default 20
        Of how many proposals for a row each draw is one.
    loss : str, Criterion or nn.Function, optional
        What is minimised: a loss of `nn.function`, by itself or by name, or a loss of the library
        by name or with its options. None is 'likelihood', or the loss of an `nn.objective`.
        'flow_matching' learns the velocity of a `Continuous` layer without solving its equation:
        the mean square over features of ``v(z_t, t) - (z - u)`` at ``z_t = (1 - t) u + t z``, of a
        draw u of the base, data z as they are behind the fixed maps, and t uniform on (0, 1)
        (Lipman et al. 2023, arXiv:2210.02747); `FlowMatching` has other paths and couplings.
    u : array_like, shape (n, features), optional
        Points of the base that belong to the rows, for a loss that reads such: `FlowMatching`
        begins its paths there instead of at independent draws.
    seed : int, optional
        0 to 2**64 - 1, of the split, the order of the rows and the noise; None draws one, or takes
        the checkpoint's.
    progress : bool or 'auto', default 'auto'
        Show progress on the standard error: a bar if tqdm is installed and the standard error is a
        terminal or notebook, else a line every few seconds. 'auto' shows it on a terminal and in a
        notebook. If the standard error cannot be written, progress ends and the fit continues.
    callback : callable, optional
        Called after every epoch with an `EpochReport`; anything true stops. The flow is held while
        it is fitted: score a copy (`copy.copy`).
    checkpoint : path, optional
        A file that holds what `resume` needs. It is written before the first epoch, at the end of
        epochs at least a second apart, and when the fit ends. After the first epoch a failure to
        write it is a warning, and the fit continues.
    resume : path, optional
        A checkpoint to continue from. The result is, bit for bit, that of the uninterrupted fit.
        Data and arguments must be the same, except for `patience` and, unless the schedule is
        cosine, `epochs`.

    Returns
    -------
    History
        Ctrl-C ends the fit early, with ``stopped='interrupted'`` and the best weights in place.

    Raises
    ------
    ValueError
        If there are no rows, a number is NaN, infinite or outside the domain of a layer or the base
        (the message tells the row), an argument is out of range, tables label the same rows in
        different orders, or the checkpoint is of another fit.
    TypeError
        If an argument is of the wrong kind.
    OSError
        If a checkpoint cannot be read, or not be written before the first epoch.
    RuntimeError
        If the flow is in use by another thread.
    NumericalError
        If the loss or its gradient overflowed in 20 steps in a row, or in all of the last epoch, or
        if the last weights or all validation losses are not finite. The flow then has the
        parameters and buffers of its best epoch, or the earlier ones if there is no such epoch.

    Warns
    -----
    DataWarning
        Of columns of a table that are constant, whole numbers without `jitter`, that repeat a
        value, have numbers far from all others or nearly depend on each other linearly; and of
        rows that are few for the flow's weights, if none are held out. Up to 10,000 rows are
        looked at.

    See Also
    --------
    cflows.plot.learning_curve : draw the history.

    Notes
    -----
    The flow's first fit sets, in its first epoch, what standardises the context, and a fixed
    `Affine` at the end of the flow, or behind fixed maps alone, with neither shift nor scale given:
    to the mean and the standard deviation of the training rows (with their noise). Later fits leave
    both as they are unless ``standardize='again'``. A base `Mixture` whose parameters are as they
    were made starts from clusters of up to 10,000 rows, unless it has ``start='random'``.

    If an exception is raised before the first epoch, the flow is as it was; if one is raised later,
    say by `callback`, it has the weights that the fit would have ended with there.

    Examples
    --------
    >>> import numpy as np
    >>> import cflows as cf
    >>> x = np.random.default_rng(0).normal(size=(500, 2)) @ [[2.0, 1.0], [0.0, 0.5]]
    >>> flow = cf.realnvp(features=2, layers=2, hidden=(16,), seed=0)
    >>> history = flow.fit(x, validation=0.2, epochs=3, seed=0)
    >>> len(history.train), history.stopped
    (3, 'epochs')
    """
    saved = read_checkpoint(resume)
    seed = seed_of_fit(seed, saved)
    rows, held_out = read_data(self, (x, context, weights, u), validation, seed)
    names = known_names(self, x, context)
    options = checked_options(
        self,
        (rows, held_out),
        names,
        seed,
        epochs=epochs,
        batch_size=batch_size,
        optimizer=optimizer,
        schedule=schedule,
        clip_norm=clip_norm,
        patience=patience,
        jitter=jitter,
        augment=augment,
        kl_warmup=kl_warmup,
        ema=ema,
        standardize=standardize,
        missing=missing,
        missing_draws=missing_draws,
        loss=loss,
    )
    warn_of_repeated_names(self, x, context)
    warn_of_data(self, rows, held_out, options.numbers["jitter"], names, options.again)
    with new_run(self, (rows, held_out), names, options, callback) as run:
        learn_names(self, x, context)
        keep(self, run, (rows, held_out), options, checkpoint, (resume, saved))
        done = len(run.history.train)
        run.progress = new_fit_progress(progress, options.epochs, rows.counted, done)
        return run.run()
