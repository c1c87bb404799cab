"""Learning by maximum likelihood. The epochs run in C; here is what surrounds them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _core
from .history import EpochReport, History
from .optim import Adam, Constant, Cosine, Optimizer, Plateau, Schedule
from .progress import Progress

if TYPE_CHECKING:
    from .checkpoint import Checkpoint
    from .flow import Flow

__all__ = ["fit"]

Array = NDArray[Any]
# x, context, weights by row of the index, row numbers
Rows = tuple[Any, Any, Array | None, Array | None]
Path = str | os.PathLike[str]

SCHEDULES: dict[str, Schedule] = {
    "constant": Constant(),
    "cosine": Cosine(),
    "plateau": Plateau(),
}
SECONDS_BETWEEN_CHECKPOINTS = 1.0


def _array(values: ArrayLike | None) -> Any:
    """`values` itself if it is an array, so that it is read in place."""
    return values if values is None or isinstance(values, np.ndarray) else np.asarray(values)


def _weights(weights: ArrayLike | None, rows: int) -> Array | None:
    if weights is None:
        return None
    array = np.asarray(weights)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"weights must be real numbers, got {array.dtype}")
    if array.shape != (rows,):
        raise ValueError(f"weights must have shape ({rows},), one a row, got {array.shape}")
    return array.astype(np.float64)


def _split(
    x: Any, context: Any, weights: Array | None, validation: Any, seed: int
) -> tuple[Rows, Rows | None]:
    """The rows to train on and those to validate with."""
    if validation is None:
        return (x, context, weights, None), None
    if isinstance(validation, (int, float)) and not isinstance(validation, bool):
        train, held_out = _core.split_rows(len(x), float(validation), seed)
        pick = [None if weights is None else weights[index] for index in (train, held_out)]
        return (x, context, pick[0], train), (x, context, pick[1], held_out)
    parts = validation if isinstance(validation, tuple) else (validation,)
    if len(parts) > 3:
        raise ValueError(f"validation must be (x, context, weights), got {len(parts)} parts")
    parts = (*parts, None, None)[:3]
    held = _array(parts[0])
    other = (held, _array(parts[1]), _weights(parts[2], len(held)), None)
    return (x, context, weights, None), other


def _checkpoint() -> type[Checkpoint]:
    """The class, which imports what a fit without checkpoints does not need."""
    from .checkpoint import Checkpoint

    return Checkpoint


def _count(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be an int, got {value!r}")
    if not least <= value < 1 << 63:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    return int(value)


def _schedule(schedule: str | Schedule) -> Schedule:
    if isinstance(schedule, str):
        if schedule not in SCHEDULES:
            known = ", ".join(map(repr, SCHEDULES))
            raise ValueError(f"schedule must be one of {known} or an object, got {schedule!r}")
        return SCHEDULES[schedule]
    if not isinstance(schedule, (Constant, Cosine, Plateau)):
        raise TypeError(f"schedule must be a Constant, Cosine or Plateau, got {schedule!r}")
    return schedule


def _jitter(jitter: ArrayLike | None, features: int) -> Array | None:
    if jitter is None:
        return None
    array = np.asarray(jitter, dtype=np.float64)
    return np.full(features, array) if array.ndim == 0 else array


class _Run:
    """One fit that is under way."""

    def __init__(
        self,
        flow: Flow,
        trainer: _core.Trainer,
        rows: int,
        options: dict[str, Any],
        history: History,
        progress: Progress,
        checkpoint: Path | None,
        callback: Callable[[EpochReport], Any] | None,
    ) -> None:
        self.flow, self.trainer, self.rows, self.options = flow, trainer, rows, options
        self.history, self.progress = history, progress
        self.checkpoint, self.callback = checkpoint, callback
        self.before = history.seconds[-1] if history.seconds else 0.0
        self.start = time.monotonic()
        self.last_checkpoint = -np.inf
        self.saved: dict[str, Any] | None = None

    def poll(self, report: tuple[Any, ...], rows: int) -> None:
        self.progress.poll(EpochReport(*report), rows)

    def epoch(self) -> str | None:
        """Run one epoch; why the fit stops after it, or None."""
        report = EpochReport(*self.trainer.epoch(self.poll))
        self.history.add(report, self.before + time.monotonic() - self.start)
        self.progress.epoch(report, self.rows)
        stop = report.stop
        if self.callback is not None and self.callback(report) is True:
            stop = stop or "callback"
        self.write_checkpoint(last=stop is not None)
        return stop

    def write_checkpoint(self, last: bool) -> None:
        if self.checkpoint is None:
            return
        due = time.monotonic() - self.last_checkpoint >= SECONDS_BETWEEN_CHECKPOINTS
        if not (due or last):
            return
        _checkpoint()(
            self.options,
            self.trainer.state(),
            self.history,
            dict(self.flow.parameters),
            dict(self.flow.buffers),
        ).write(self.checkpoint)
        self.last_checkpoint = time.monotonic()

    def go(self) -> History:
        self.history.stopped = "running"
        stop: str | None = None
        try:
            while stop is None:
                stop = self.epoch()
        except KeyboardInterrupt:
            stop = "interrupted"
        finally:
            self.progress.close()
            self.trainer.restore_best()
            self.trainer.close()
        self.history.stopped = stop
        return self.history


def fit(
    self: Flow,
    x: ArrayLike,
    context: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    *,
    validation: float | ArrayLike | tuple[Any, ...] | None = None,
    epochs: int = 100,
    batch_size: int | None = None,
    optimizer: Optimizer | None = None,
    schedule: str | Schedule = "constant",
    clip_norm: float | None = 5.0,
    patience: int | None = None,
    jitter: ArrayLike | None = None,
    seed: int | None = None,
    progress: bool = True,
    callback: Callable[[EpochReport], Any] | None = None,
    checkpoint: Path | None = None,
    resume: Path | None = None,
) -> History:
    """Learn the distribution of the rows of `x` by maximum likelihood.

    Minimises the mean negative log-likelihood in shuffled minibatches of ``B`` rows, the loss of
    each being ``sum(w_i l_i) / (B mean(w))``. The loop runs in C, without the GIL.

    Parameters
    ----------
    x : array_like, shape (n, features)
        Read in place, whatever its dtype and layout: also a `numpy.memmap` larger than memory.
    context : array_like, shape (n, context_features) or (context_features,), optional
        For a flow with context, and only then.
    weights : array_like, shape (n,), optional
        0 or more; None is 1 for all.
    validation : float, array_like or tuple, optional
        A fraction of the rows to hold out, or other rows: ``x`` or ``(x, context, weights)``. With
        it the weights of the best epoch are kept, else those of the last.
    epochs : int, default 100
    batch_size : int, optional
        None is 256, or all rows if there are fewer.
    optimizer : Adam, AdamW or SGD, optional
        None is ``Adam(1e-3)``.
    schedule : {'constant', 'cosine', 'plateau'} or Constant, Cosine or Plateau
        Of the learning rate.
    clip_norm : float, optional
        Gradients longer than this are shortened to it; None leaves them.
    patience : int, optional
        Stop after so many epochs without a better validation loss.
    jitter : float or array_like, shape (features,), optional
        Uniform noise on ``[0, jitter)``, drawn afresh in every epoch: integer-valued columns make a
        density unbounded. Validation rows get the same noise in every epoch.
    seed : int, optional
        Of the split, the order of the rows and the noise; None draws one.
    progress : bool, default True
        Show progress on the standard error: a bar if tqdm is installed, else plain lines.
    callback : callable, optional
        Called after every epoch with an `EpochReport`; True stops. The flow cannot be used
        meanwhile.
    checkpoint : path, optional
        A file to write at the end of epochs, at most once a second, and at the end.
    resume : path, optional
        A checkpoint to go on from. The result is, bit for bit, that of the uninterrupted fit.

    Returns
    -------
    History
        Ctrl-C ends the fit early, with ``stopped='interrupted'`` and the best weights in place.

    Raises
    ------
    ValueError
        If the data hold NaN or infinity (the message tells the row), or an argument is out of
        range; the flow is unchanged.
    NumericalError
        If 20 steps in a row overflowed; the best weights are in place.
    RuntimeError
        If the flow is in use by another thread.

    Notes
    -----
    A fixed `Affine` at the end of the flow, with neither shift nor scale given, is first set to the
    mean and the standard deviation of the training rows.

    Examples
    --------
    >>> import numpy as np
    >>> import cflows as cf
    >>> x = np.random.default_rng(0).normal(size=(500, 2)) @ [[2.0, 1.0], [0.0, 0.5]]
    >>> flow = cf.realnvp(features=2, layers=2, hidden=(16,), seed=0)
    >>> history = flow.fit(x, validation=0.2, epochs=3, seed=0, progress=False)
    >>> len(history.train), history.stopped
    (3, 'epochs')
    """
    data, given = _array(x), _array(context)
    if data.ndim != 2:
        raise ValueError(f"x must have shape (n, {self.features}), got {data.shape}")
    optimizer = Adam() if optimizer is None else optimizer
    numbers, plan = optimizer._numbers(), _schedule(schedule)
    saved = None if resume is None else _checkpoint().read(resume)
    if seed is None:
        seed = int(saved.options["seed"]) if saved else int.from_bytes(os.urandom(8), "little") >> 1
    seed = _count("seed", seed, 0)
    train, held_out = _split(data, given, _weights(weights, len(data)), validation, seed)
    rows = len(data) if train[3] is None else len(train[3])
    batch = min(256, max(rows, 1)) if batch_size is None else _count("batch_size", batch_size, 1)
    epochs = _count("epochs", epochs, 1)
    waits = 0 if patience is None else _count("patience", patience, 1)
    if clip_norm is not None and not clip_norm > 0:
        raise ValueError(f"clip_norm must be positive or None, got {clip_norm}")
    clip = 0.0 if clip_norm is None else float(clip_norm)
    noise = _jitter(jitter, self.features)
    options: dict[str, Any] = {
        "rows": len(data),
        "training rows": rows,
        "validation rows": 0 if held_out is None else len(held_out[0]),
        "weights": weights is not None,
        "optimizer": repr(optimizer),
        "schedule": repr(plan),
        "epochs": epochs,
        "batch_size": batch,
        "patience": waits,
        "clip_norm": clip,
        "jitter": None if noise is None else noise.tolist(),
        "seed": seed,
    }
    if saved is not None and resume is not None:
        saved.check(resume, self, options)
    buffers = {name: array.copy() for name, array in self.buffers.items()}
    trainer = _core.Trainer(
        self, train, held_out, numbers, plan._numbers(), epochs, batch, waits, clip, noise, seed
    )
    history = History()
    if saved is not None:
        try:
            trainer.load_state(saved.state)
        except BaseException:
            for name, array in self.buffers.items():
                array[...] = buffers[name]
            trainer.close()
            raise
        saved.restore(self)
        history = saved.history
        if history.stopped in ("epochs", "patience"):
            trainer.restore_best()
            trainer.close()
            return history
    shown = Progress(epochs, len(history.train), progress)
    return _Run(self, trainer, rows, options, history, shown, checkpoint, callback).go()
