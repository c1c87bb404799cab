"""What `fit` is made of: the data that it reads, its options, a run of epochs, checkpoints."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _core
from ._core import Cosine, Criterion, Optimizer, Schedule
from .arguments import checked_loss, checked_seed, decay, gradient_limit, integer
from .arrays import real_array, refuse_shape
from .epochs import Warmup, changing_rows
from .names import by_name, names_of, row_by_name
from .optim import SCHEDULES, checked_optimizer, checked_schedule, spelled
from .refused_rows import Names, explaining
from .run import Callback, Keeper, Run, checkpoint_class
from .training_rows import (
    TrainingRows,
    check_order,
    fingerprint,
    read_rows,
    read_validation,
    with_weight,
)

if TYPE_CHECKING:
    from .checkpoint import Checkpoint
    from .flow import Flow
    from .history import History

__all__ = [
    "DEFAULT_PATIENCE",
    "FitOptions",
    "Path",
    "checked_options",
    "keep",
    "new_run",
    "read_checkpoint",
    "read_data",
    "seed_of_fit",
]

Path = str | os.PathLike[str]
Data = tuple[TrainingRows, TrainingRows | None]  # to train on, and to validate with

DEFAULT_PATIENCE = 20


@dataclass(frozen=True)
class FitOptions:
    """The options of a fit, each checked.

    Attributes
    ----------
    numbers : dict
        Those that the trainer takes as they are.
    """

    optimizer: Optimizer
    schedule: Schedule
    epochs: int
    patience: int
    numbers: dict[str, Any]
    kl_warmup: int
    augment: Any
    missing: str
    missing_draws: int
    loss: str | Criterion
    default_loss: bool
    again: bool


def checked_options(
    flow: Flow,
    data: Data,
    names: tuple[Names, Names],
    seed: int,
    *,
    epochs: int,
    batch_size: int | None,
    optimizer: Optimizer | None,
    schedule: str | Schedule,
    clip_norm: float | None,
    patience: int | None,
    jitter: ArrayLike | None,
    augment: Any,
    kl_warmup: int,
    ema: float | None,
    standardize: str,
    missing: str,
    missing_draws: int,
    loss: Any,
) -> FitOptions:
    """The options of `fit`, which says what they mean, for these data."""
    rows, held_out = data
    jitter = row_by_name("jitter", jitter, names[0])
    optimizer, plan = checked_optimizer(optimizer), checked_schedule(schedule, SCHEDULES)
    batch_size = 256 if batch_size is None else integer("batch_size", batch_size, 1)
    numbers = {
        "batch_size": max(1, min(batch_size, len(rows))),  # the core refuses data without rows
        "clip_norm": gradient_limit(clip_norm),
        "ema": decay(ema),
        "jitter": _jitter(jitter, flow.shape),
        "seed": seed,
    }
    if standardize not in ("once", "again"):
        raise ValueError(f"standardize must be 'once' or 'again', got {standardize!r}")
    if rows.u is not None and (augment is not None or missing != "error"):
        raise ValueError("u belongs to rows as they are: it goes with neither augment nor missing")
    return FitOptions(
        optimizer,
        plan,
        integer("epochs", epochs, 1),
        _patience(patience, held_out),
        numbers,
        integer("kl_warmup", kl_warmup, 0),
        augment,
        missing,
        missing_draws,
        checked_loss(flow, loss),
        loss is None,
        standardize == "again",
    )


@contextmanager
def new_run(
    flow: Flow,
    data: Data,
    names: tuple[Names, Names],
    options: FitOptions,
    callback: Callback | None,
) -> Iterator[Run]:
    """A fit that is about to begin; the flow is held until the end of the context."""
    rows, held_out = data
    filling = (options.augment, options.missing, options.missing_draws)
    changing, held_out = changing_rows(flow, rows, held_out, options.numbers["seed"], *filling)
    warmup = Warmup(flow, options.kl_warmup)
    with (
        explaining(flow, changing.rows, held_out, names),
        closing(
            _core.Trainer(
                flow,
                options.loss,
                changing.rows.arrays,
                None if held_out is None else held_out.arrays,
                options.optimizer,
                options.schedule,
                epochs=options.epochs,
                patience=options.patience,
                standardize_again=options.again,
                **options.numbers,
            )
        ) as trainer,
    ):
        yield Run(trainer, rows.counted, callback, (warmup, changing))


# -- checkpoints -- #


def read_checkpoint(path: Path | None) -> Checkpoint | None:
    return None if path is None else checkpoint_class().read(os.fsdecode(path))


def seed_of_fit(seed: Any, saved: Checkpoint | None) -> int:
    if seed is None and saved is not None:
        return int(saved.config["seed"])
    return checked_seed(seed)


def keep(
    flow: Flow,
    run: Run,
    data: Data,
    options: FitOptions,
    checkpoint: Path | None,
    resumed: tuple[Path | None, Checkpoint | None],
) -> None:
    """Continue a run from a checkpoint, where there is one, and let it keep one."""
    resume, saved = resumed
    if checkpoint is None and saved is None:
        return
    config = _config(flow, data, options, saved)
    if resume is not None and saved is not None:
        run.history = _resume(flow, run, saved, os.fsdecode(resume), config, options.epochs)
    if checkpoint is not None:
        run.keeper = Keeper(flow, run.trainer, os.fsdecode(checkpoint), config, run)


def _resume(
    flow: Flow,
    run: Run,
    saved: Checkpoint,
    path: str,
    config: dict[str, Any],
    epochs: int,
) -> History:
    """Set flow and trainer to the checkpoint, or raise ValueError and change nothing.

    Returns the history of its epochs.
    """
    saved.check_config(path, config)
    saved.check_tensors(path, flow)
    if saved.state["epoch"] > epochs:
        raise ValueError(f"{path} is {saved.state['epoch']} epochs on, got epochs={epochs}")
    try:
        run.rows_of_epoch.load_state(saved.state)
        run.trainer.load_state(saved.state)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: damaged checkpoint: {error}") from error
    saved.restore(flow)
    return saved.history


def _config(
    flow: Flow, data: Data, options: FitOptions, saved: Checkpoint | None
) -> dict[str, Any]:
    """What has to be the same for a fit to resume from a checkpoint, such as `saved`."""
    from .checkpoint import architecture

    (rows, held_out), schedule, jitter = data, options.schedule, options.numbers["jitter"]
    former, validated = {} if saved is None else saved.config, None
    if held_out is not None:
        parts = former.get("validation")
        parts = parts if isinstance(parts, list) and len(parts) == 4 else [None] * 4
        validated = [fingerprint(*pair) for pair in zip(held_out.arrays[:4], parts, strict=True)]
        validated += [] if held_out.u is None else [fingerprint(held_out.u)]
    return {
        **architecture(flow),
        **options.numbers,
        "ema": options.numbers["ema"] or None,
        "jitter": None if jitter is None else jitter.tolist(),
        "kl_warmup": options.kl_warmup,
        "augment": repr(options.augment),
        "loss": None if options.default_loss else _spelled_loss(options.loss),
        "u": fingerprint(rows.u),
        "standardize": "again" if options.again else None,
        "missing": None if options.missing == "error" else [options.missing, options.missing_draws],
        "optimizer": spelled(options.optimizer),
        "schedule": spelled(schedule),
        # Other schedules do not depend on the number of epochs.
        "epochs": options.epochs if isinstance(schedule, Cosine) else None,
        "x": fingerprint(rows.x, former.get("x")),
        "context": fingerprint(rows.context, former.get("context")),
        "weights": fingerprint(rows.weights, former.get("weights")),
        "validation": validated,
    }


def _spelled_loss(loss: str | Criterion) -> str:
    return loss if isinstance(loss, str) else spelled(loss)


# -- arguments -- #


def read_data(
    flow: Flow,
    given: tuple[ArrayLike, ArrayLike | None, ArrayLike | None, ArrayLike | None],
    validation: float | ArrayLike | tuple[Any, ...] | None,
    seed: int,
) -> Data:
    """The rows to train on and those to validate with, of ``(x, context, weights, u)``."""
    x, context, weights, u = given
    learned = names_of(x), names_of(context)
    check_order(x, context, weights)
    x, context = by_name(flow, "x", x), by_name(flow, "context", context)
    rows = with_weight(read_rows(x, context, weights, u))
    if rows.x.shape[1:] != flow.shape:
        refuse_shape("x", rows.x.shape, flow.shape)
    return read_validation(rows, validation, seed, flow, learned)


def _patience(patience: int | None, held_out: TrainingRows | None) -> int:
    """The epochs to wait for a better one; 0 waits for ever."""
    if patience is None:
        return 0
    if held_out is not None:
        return integer("patience", patience, 1)
    if patience != DEFAULT_PATIENCE:
        raise ValueError(
            f"patience={patience} needs rows held out to judge by, got validation=None"
        )
    return 0


def _jitter(jitter: ArrayLike | None, shape: tuple[int, ...]) -> NDArray[np.float64] | None:
    """The width of the noise of each feature; None if all are 0."""
    if jitter is None:
        return None
    if isinstance(jitter, (bool, str)):
        raise TypeError(f"jitter must be a width or one a column, got {jitter!r}")
    array = real_array("jitter", jitter)
    if array.shape not in ((), shape):
        raise ValueError(f"jitter must be a number or have shape {shape}, got {array.shape}")
    widths = np.array(np.broadcast_to(array, shape), np.float64).ravel()
    return widths if widths.any() else None
