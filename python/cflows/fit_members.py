"""The fit of an ensemble: its members side by side, each as `Flow.fit` learns it."""

from __future__ import annotations

import _thread
import functools
import inspect
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed, wait
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from . import _core
from .arguments import check_callback, refuse_unknown
from .data_warnings import warn_of_data
from .fit import fit
from .fitting import (
    Data,
    FitOptions,
    Path,
    checked_options,
    keep,
    new_run,
    read_checkpoint,
    read_data,
    seed_of_fit,
)
from .history import EpochReport, History
from .member_draws import drawn_integers
from .members_progress import MembersProgress
from .named import known_names, learn_names, warn_of_repeated_names
from .refused_rows import Names, explaining
from .run import Run
from .training_rows import TrainingRows, with_weight

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from .checkpoint import Checkpoint
    from .ensembles import Ensemble
    from .flow import Flow

__all__ = [
    "bootstrapped",
    "data_of_fit",
    "fit_members",
    "naming",
    "numbers_of_member",
    "options_of_fit",
    "side_by_side",
]

# What a fit of members has of its own, or takes for all of them.
_OWN = ("u", "validation", "seed", "progress", "callback", "checkpoint", "resume")
_OPTIONS = {
    name: parameter.default
    for name, parameter in inspect.signature(fit).parameters.items()
    if parameter.kind is parameter.KEYWORD_ONLY and name not in _OWN
}


_SECONDS = 0.1  # between looks for Ctrl-C

_Method = TypeVar("_Method", bound=Callable[..., Any])


def with_options_of_fit(method: _Method) -> _Method:
    """The method, whose error about an unknown keyword says which was meant."""
    known = [name for name in inspect.signature(method).parameters if name != "self"]

    @functools.wraps(method)
    def checked(*args: Any, **kwargs: Any) -> Any:
        refuse_unknown("fit", kwargs, [*known, *_OPTIONS])
        return method(*args, **kwargs)

    return cast(_Method, checked)


@with_options_of_fit
def fit_members(
    self: Ensemble,
    x: ArrayLike,
    context: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    *,
    bootstrap: bool = False,
    validation: float | ArrayLike | tuple[Any, ...] | None = 0.1,
    seed: int | None = None,
    progress: bool | str = "auto",
    callback: Callable[[int, EpochReport], Any] | None = None,
    checkpoint: Path | None = None,
    resume: Path | None = None,
    **options: Any,
) -> list[History]:
    """Learn the distribution of the rows of `x`, each member by itself: as `Flow.fit` does.

    Member k learns with the seed ``seed + k``, modulo 2**64: of the order of the rows and of noise.
    Members are fitted side by side, as many at once as there are threads, and the result does not
    depend on how many. The weights of the ensemble stay as they are.

    Parameters
    ----------
    x, context, weights
        As of `Flow.fit`; they are read once for all members.
    bootstrap : bool, default False
        Whether each member learns from rows drawn with replacement, as many as there are: row i
        then has the weight ``c_i w_i``, with ``c_i`` how often it was drawn. Rows held out are
        not among them.
    validation : float, array_like, tuple or None, default 0.1
        As of `Flow.fit`. All members have the same rows to train on and to validate with; a
        fraction is held out by `seed`.
    seed : int, optional
        None draws one, or takes that of the checkpoints.
    progress : bool or 'auto', default 'auto'
        As of `Flow.fit`, of all members together.
    callback : callable, optional
        ``callback(k, report)`` after every epoch of member k, never two at a time but in any
        thread; anything true stops that member.
    checkpoint : path, optional
        A folder, which is made if there is none, with a checkpoint of each member.
    resume : path, optional
        A folder of checkpoints to continue from, as of `Flow.fit`: with the same data and
        arguments the result is, bit for bit, that of the uninterrupted fit.
    **options
        All others of `Flow.fit`, for each member.

    Returns
    -------
    list of History
        One a member. Ctrl-C ends all fits early, with the best weights in place.

    Raises
    ------
    ValueError, TypeError, OSError, RuntimeError, NumericalError
        As of `Flow.fit`, with the number of the member. If it is raised before the first epoch,
        the members are as they were; later the others are stopped where they are, as by Ctrl-C.

    Warns
    -----
    DataWarning
        As of `Flow.fit`.

    References
    ----------
    Efron and Tibshirani 1993, An introduction to the bootstrap, chapter 6.
    """
    check_callback(callback)
    saved = [read_checkpoint(path) for path in _paths(self, resume)]
    seed = seed_of_fit(seed, saved[0])
    data = data_of_fit(self, x, context, weights, validation, seed)
    names = known_names(cast("Flow", self), x, context)
    all_options = options_of_fit(self, data, names, seed, options)
    warn_of_repeated_names(cast("Flow", self), x, context)
    jitter = all_options.numbers["jitter"]
    warn_of_data(self.flows[0], data[0], data[1], jitter, names, all_options.again)
    if checkpoint is not None:
        os.makedirs(checkpoint, exist_ok=True)
    shown = MembersProgress(progress, len(self), all_options.epochs, data[0].counted, callback)
    members = [
        _Member(k, flow, *_own(data, all_options, k, bootstrap), names)
        for k, flow in enumerate(self.flows)
    ]
    paths = zip(_paths(self, checkpoint), _paths(self, resume), saved, strict=True)
    refused: Exception | None = None
    found: list[Any] = []
    with closing(shown), ExitStack() as stack:
        try:
            for member, (path, old_path, old) in zip(members, paths, strict=True):
                with naming(member.number):
                    member.begin(stack, shown, path, (old_path, old))
            learn_names(cast("Flow", self), x, context)
        except Exception as error:  # each member's context would explain it again
            refused = error
        else:
            found = side_by_side([member.run for member in members], shown.stop)
    if refused is not None:
        raise refused
    for member, result in zip(members, found, strict=True):
        if isinstance(result, BaseException):
            with naming(member.number), explaining(member.flow, *member.data, names):
                raise result
    return cast("list[History]", found)


class _Member:
    """The fit of one member."""

    def __init__(
        self,
        number: int,
        flow: Flow,
        data: Data,
        options: FitOptions,
        names: tuple[Names, Names],
    ) -> None:
        self.number, self.flow, self.data = number, flow, data
        self.options, self.names = options, names
        self._run: Run | None = None

    def begin(
        self,
        stack: ExitStack,
        shown: MembersProgress,
        checkpoint: Path | None,
        resumed: tuple[Path | None, Checkpoint | None],
    ) -> None:
        """Check all, and hold the flow until the stack is left."""
        callback = None if shown.callback is None else partial(shown.report, self.number)
        run = stack.enter_context(new_run(self.flow, self.data, self.names, self.options, callback))
        keep(self.flow, run, self.data, self.options, checkpoint, resumed)
        run.progress = shown.of(self.number)
        if run.keeper is not None:
            run.keeper.start()  # of all members before the first epoch of one
        self._run = run

    def run(self) -> History:
        assert self._run is not None
        return self._run.run()


def side_by_side(tasks: Sequence[Callable[[], Any]], stop: Callable[[], None]) -> list[Any]:
    """The results of tasks, or what they raised, as many at once as there are threads.

    Each computes without the GIL and may take threads of the pool that are idle. A step of a few
    hundred rows keeps one core busy but not several: on two, five members took 0.5 to 1 of the time
    that they take one after the other, each with both. `stop` is called upon Ctrl-C and when a task
    has failed.

    Ctrl-C may raise KeyboardInterrupt anywhere in the main thread, and there alone: so all but
    waiting is in another one, and begins once, however often this one is interrupted.
    """
    all_of_them: Future[list[Any]] = Future()
    begun = threading.Lock()

    def run() -> None:
        if not begun.acquire(blocking=False):
            return
        try:
            all_of_them.set_result(_results(tasks, stop))
        except BaseException as error:
            all_of_them.set_exception(error)

    while not all_of_them.done():
        try:
            _thread.start_new_thread(run, ())
            while not all_of_them.done():
                wait([all_of_them], _SECONDS)  # for ever, it would not hear Ctrl-C everywhere
        except KeyboardInterrupt:
            stop()
    return all_of_them.result()


def _results(tasks: Sequence[Callable[[], Any]], stop: Callable[[], None]) -> list[Any]:
    with ThreadPoolExecutor(min(len(tasks), _core.get_num_threads())) as executor:
        futures = [executor.submit(task) for task in tasks]
        for future in as_completed(futures):
            if future.exception() is not None:
                stop()
    return [future.exception() or future.result() for future in futures]


@contextmanager
def naming(member: int) -> Iterator[None]:
    """Errors of a member say of which one they are."""
    try:
        yield
    except (ValueError, RuntimeError, _core.NumericalError) as error:
        if type(error) not in (ValueError, RuntimeError, _core.NumericalError):
            raise
        raise type(error)(f"member {member}: {error}") from error


def data_of_fit(
    model: Ensemble,
    x: ArrayLike,
    context: ArrayLike | None,
    weights: ArrayLike | None,
    validation: float | ArrayLike | tuple[Any, ...] | None,
    seed: int,
) -> Data:
    """The rows that all members train on, and those to validate with."""
    return read_data(cast("Flow", model), (x, context, weights, None), validation, seed)


def options_of_fit(
    model: Ensemble,
    data: Data,
    names: tuple[Names, Names],
    seed: int,
    given: dict[str, Any],
) -> FitOptions:
    """Those of `Flow.fit` with its defaults, checked."""
    options = {**_OPTIONS, **given}
    if getattr(options["loss"], "model", None) is not None:
        raise TypeError("the loss of an ensemble's fit is a name, got a function of one model")
    return checked_options(model[0], data, names, seed, **options)


def _own(data: Data, options: FitOptions, member: int, bootstrap: bool) -> tuple[Data, FitOptions]:
    """The data and the options of one member."""
    rows = data[0]
    if bootstrap:
        rows = bootstrapped(rows, numbers_of_member(options, member, rows)["seed"])
    numbers = numbers_of_member(options, member, rows)
    return (rows, data[1]), replace(options, numbers=numbers)


def numbers_of_member(options: FitOptions, member: int, rows: TrainingRows) -> dict[str, Any]:
    """Those of its trainer: a seed of its own, and batches of no more than its rows."""
    seed = (options.numbers["seed"] + member) % 2**64
    batch_size = max(1, min(options.numbers["batch_size"], len(rows)))
    return {**options.numbers, "seed": seed, "batch_size": batch_size}


def bootstrapped(rows: TrainingRows, seed: int) -> TrainingRows:
    """As many rows drawn with replacement, as weights: how often each was drawn, times its own."""
    count = len(rows)
    if count == 0:
        return rows
    times = np.bincount(drawn_integers(seed, count, count), minlength=count).astype(np.float64)
    weights = times if rows.weights is None else times * rows.weights
    return with_weight(replace(rows, weights=weights))


def _paths(model: Ensemble, folder: Path | None) -> list[str | None]:
    """The checkpoints of the members in a folder."""
    if folder is None:
        return [None] * len(model)
    at = os.fsdecode(folder)
    return [os.path.join(at, f"member{k}.safetensors") for k in range(len(model))]
