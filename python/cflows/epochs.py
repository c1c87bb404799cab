"""What changes between epochs of a fit: the weight of a VAE's regularisation, augmented images,
numbers in place of missing ones."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .arguments import integer
from .missing import Completion, check_flow
from .training_rows import TrainingRows

if TYPE_CHECKING:
    from . import _core
    from .flow import Flow


class Warmup:
    """The weight of the Kullback-Leibler term, which rises over the first epochs to 1."""

    def __init__(self, model: _core.Model, epochs: int) -> None:
        self.epochs = epochs
        if epochs > 0 and not _is_variational(getattr(model, "layers", ())):
            raise ValueError("kl_warmup is for a flow with a Variational layer, such as a VAE")

    def weight(self, epoch: int) -> float:
        """The weight in an epoch, counted from 0."""
        return min(1.0, (epoch + 1) / (self.epochs + 1))


def _is_variational(layers: Sequence[_core.BoundLayer]) -> bool:
    return any(layer.type == "Variational" or _is_variational(layer.layers) for layer in layers)


ENOUGH = 20  # complete rows to validate with


def changing_rows(
    flow: Flow,
    rows: TrainingRows,
    held_out: TrainingRows | None,
    seed: int,
    augment: Callable[..., Any] | Sequence[Callable[..., Any]] | None,
    missing: str,
    missing_draws: int,
) -> tuple[Augmented | Imputed, TrainingRows | None]:
    """Training rows that change with every epoch, and those to validate with, which do not."""
    if missing not in ("error", "marginal"):
        raise ValueError(f"missing must be 'error' or 'marginal', got {missing!r}")
    if missing == "error":
        return Augmented(rows, augment, seed), held_out
    if augment is not None:
        raise ValueError("augment is for images, missing='marginal' for vectors")
    imputed = Imputed(flow, rows, integer("missing_draws", missing_draws, 1), seed)
    return imputed, None if held_out is None else imputed.to_validate(held_out)


class Imputed:
    """Training rows whose missing numbers are drawn afresh in every epoch, in a copy.

    In the first epoch they are proposals from a normal distribution, then draws from the flow's
    own distribution given the rest of the row. The gradient of such a row's density is, on average,
    that of the density of what is not missing.
    """

    def __init__(self, flow: Flow, rows: TrainingRows, draws: int, seed: int) -> None:
        check_flow(flow)
        self.flow, self.draws, self.seed, self.maps_are_set = flow, draws, seed, False
        x, context = _selected(rows)
        empty = np.flatnonzero(np.isnan(x).all(axis=0))
        if len(empty):
            raise ValueError(
                f"training data: column {empty[0]} has no number in any row: leave it out"
            )
        self.completion = Completion(flow, x, context, draws)
        self.completion.propose_rows()
        self.rows = TrainingRows(x.copy(), context, rows.weights)
        self.start(0)

    def start(self, epoch: int) -> None:
        """Draw the numbers of an epoch, counted from 0."""
        if len(self.completion.rows) == 0:
            return
        seed = (self.seed + (epoch << 32)) % 2**64
        if epoch == 0:
            self.rows.x[...] = self.completion.proposed(seed)
            return
        flow = copy.copy(self.flow)  # itself it is held while it is fitted
        if not self.maps_are_set:  # the first epoch does that
            self.completion.look(flow)
            self.completion.propose_rows()
            self.maps_are_set = True
        self.rows.x[...] = self.completion.drawn(flow, seed, self.rows.x)

    def state(self) -> dict[str, NDArray[np.float64]]:
        """What the next epoch depends on, beside the flow."""
        return {"missing": self.rows.x[self.completion.missing]}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take it out of a fit's state, or raise ValueError."""
        numbers, missing = state.pop("missing", None), self.completion.missing
        if not isinstance(numbers, np.ndarray) or numbers.shape != (missing.sum(),):
            raise ValueError("it has other missing numbers")
        self.rows.x[missing] = numbers

    def to_validate(self, rows: TrainingRows) -> TrainingRows:
        """The complete ones of other rows; where they are few all, with one proposal for each
        missing number, the same in all epochs."""
        x, context = _selected(rows)
        complete = ~np.isnan(x).any(axis=1)
        if complete.sum() >= ENOUGH:
            weights = None if rows.weights is None else rows.weights[complete]
            given = None if context is None else context[complete]
            return TrainingRows(x[complete], given, weights)
        completion = Completion(self.flow, x, context, self.draws)
        completion.proposals = self.completion.proposals
        return TrainingRows(completion.proposed(self.seed), context, rows.weights)


def _selected(rows: TrainingRows) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """The rows of x in float64, and a row of context for each."""
    chosen = slice(None) if rows.index is None else rows.index
    x = np.array(rows.x[chosen], np.float64)
    if rows.context is None:
        return x, None
    context = np.asarray(rows.context, np.float64)
    if context.ndim == 2 and len(context) == len(rows.x):
        context = context[chosen]
    return x, np.array(np.broadcast_to(context, (len(x), context.shape[-1])))


class Augmented:
    """Training rows whose images are augmented afresh in every epoch, in a copy."""

    def __init__(
        self,
        rows: TrainingRows,
        augment: Callable[..., Any] | Sequence[Callable[..., Any]] | None,
        seed: int,
    ) -> None:
        self.source, self.augment, self.seed = rows.x, augment, seed
        self.rows = rows if augment is None else replace(rows, x=np.empty_like(rows.x))
        self.start(0)

    def state(self) -> dict[str, NDArray[Any]]:
        """What the next epoch depends on: nothing but its number."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """There is none."""

    def start(self, epoch: int) -> None:
        """Make the images of an epoch, counted from 0."""
        if self.augment is not None:
            from .data.augmentation import augmented

            augmented(self.source, self.augment, self.seed, epoch, out=self.rows.x)
