"""Warnings of data that a flow cannot learn as they are."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import _core
from .arguments import listed
from .categories import categories_of_context
from .training_rows import TrainingRows

if TYPE_CHECKING:
    from .flow import Flow

__all__ = ["DataWarning", "warn_of_data"]

Float = NDArray[np.float64]

ROWS = 10_000  # looked at, evenly spaced; fewer of many columns, but 1,000
NUMBERS = 40_000
OFTEN = 0.02  # the share of a column that one value may have
FAR = 30.0  # interquartile ranges from the median
WHOLE = 2.0**30  # the range up to which numbers without fractions are taken for integers
# Layers that shift and scale a single column.
STRAIGHT = ("Affine", "ActNorm", "BatchNorm", "Linear", "Triangular", "Permutation")
SINGULAR = 1e-5  # eigenvalue of the correlation matrix
MANY = 10  # weights for each number of the data, of which none is held out
FAR_CONTEXT = (
    "numbers far from all others set the scale: where they stand for missing ones, put an ordinary "
    "number in their place, and a further column of 0 and 1 that says so"
)


class DataWarning(UserWarning):
    """Data as they are have no density that a flow could learn, or not well; the message names the
    columns and what to do."""


def warn_of_data(
    flow: Flow,
    rows: TrainingRows,
    held_out: TrainingRows | None,
    jitter: Float | None,
    names: tuple[Sequence[Any] | None, Sequence[Any] | None],
) -> None:
    """Give a `DataWarning` a kind, from a part of the rows of a table.

    Parameters
    ----------
    flow : Flow
        That is about to be fitted.
    rows, held_out : TrainingRows
        None held out is a finding where there are few rows.
    jitter : ndarray or None
        By column, the width of the noise that is added.
    names : pair of sequences or None
        Of the columns of x and of the context; None are their numbers.
    """
    if not isinstance(flow, _core.Flow) or len(flow.shape) > 1:
        return
    x, context = _some_rows(rows, rows.x), _some_rows(rows, rows.context)
    if len(x) < 10 or not np.isfinite(x).all() or not np.isfinite(context).all():
        return
    if held_out is None:
        _warn_of_few_rows(flow, rows)
    noisy = np.zeros(x.shape[1], bool) if jitter is None else jitter > 0.0
    own = flow.columns or names[0] or range(x.shape[1])
    for columns, message in _findings(flow, x, noisy):
        _warn("column", [own[i] for i in columns], message)
    given = flow.context_columns or names[1] or range(context.shape[1])
    if flow.standardize_context and context.shape[1] == flow.context_features:
        far = _has_long_tails(context) & ~categories_of_context(flow)
        _warn("context column", [given[i] for i in _where(far)], FAR_CONTEXT)


def _warn(noun: str, columns: Sequence[Any], message: str) -> None:
    if columns:
        nouns = noun if len(columns) == 1 else f"{noun}s"
        # The caller of fit, which is wrapped.
        warnings.warn(f"{nouns} {listed(columns, 8)}: {message}", DataWarning, stacklevel=5)


def _warn_of_few_rows(flow: Flow, rows: TrainingRows) -> None:
    weights = sum(array.size for name, array in flow.parameters.items() if name not in flow.frozen)
    if weights > MANY * len(rows) * flow.features:
        warnings.warn(
            f"{len(rows):,} rows for {weights:,} weights, and none held out: the flow may learn "
            "the rows by heart; leave validation at 0.1, or take fewer layers or narrower ones",
            DataWarning,
            stacklevel=5,
        )


def _findings(flow: Flow, x: Float, noisy: NDArray[np.bool_]) -> Iterable[tuple[list[int], str]]:
    """Column numbers, and what is to be said of them."""
    constant = np.ptp(x, axis=0) == 0.0
    free = ~constant & ~noisy
    yield _where(constant & ~noisy), "one value in all rows, which has no density: drop it"
    whole = free & _are_whole_numbers(x) & (not flow.stochastic)
    yield (
        _where(whole),
        "whole numbers, whose density is unbounded: give fit(jitter=…) their spacing, or make the "
        "flow with columns=[…, count or ordinal(levels), …]",
    )
    often = np.array([_rows_of_one_value(column) > max(4, OFTEN * len(x)) for column in x.T])
    yield (
        _where(free & ~whole & often & (not flow.stochastic)),
        "one value in many rows, such as one that stands for a missing number, has no density: "
        "drop these rows, or give fit(jitter=…) a width",
    )
    yield (
        [0] if _is_straight(flow) else [],
        "the only one, and this flow shifts and scales it, no more, so that it learns a normal "
        "distribution: take nsf or nsf_ar, whose splines bend",
    )
    z = _unbounded(flow, x)
    yield (
        _where(~constant & _has_long_tails(z) & (not _is_robust(flow))),
        "numbers far from all others set the scale: drop them if they are errors, make the flow "
        "with standardize='robust', or take logarithms (cflows.positive)",
    )
    # Noise of its own makes a column independent of the others.
    exact = free & ~whole
    least = SINGULAR**2 if _whitens(flow) else SINGULAR
    yield (
        _collinear(z[:, exact], np.flatnonzero(exact), least),
        "one is nearly a linear function of the others, so that the density is nearly unbounded: "
        "drop it, give the difference instead, or make the flow with standardize='whiten'",
    )


def _is_straight(flow: Flow) -> bool:
    """Whether couplings of one column are lines alone, over a normal base."""
    bent = flow.layers[: len(flow.layers) - flow.fixed_maps]
    return (
        flow.features == 1
        and isinstance(flow.base, _core.Normal)
        and any(layer.type in ("Coupling", "Autoregressive") for layer in bent)
        and all(
            layer.type in STRAIGHT or layer.options.get("transform") in ("affine", "additive")
            for layer in bent
        )
    )


def _is_robust(flow: Flow) -> bool:
    return any(layer.type == "Affine" and layer.options["robust"] for layer in flow.layers)


def _whitens(flow: Flow) -> bool:
    return any(layer.type == "Triangular" and layer.options["standardize"] for layer in flow.layers)


def _some_rows(rows: TrainingRows, array: NDArray[Any] | None) -> Float:
    """Of x or the context; none of a context that is one for all rows."""
    if array is None or array.shape[:-1] != (len(rows.x),):
        return np.empty((0, 0), np.float64)
    count, features = len(rows), array.shape[1]
    enough = min(count, ROWS, max(1000, NUMBERS // features))
    chosen = np.linspace(0, count - 1, enough).astype(np.int64)
    return np.asarray(array[chosen if rows.index is None else rows.index[chosen]], np.float64)


def _where(which: NDArray[np.bool_]) -> list[int]:
    return [int(i) for i in np.flatnonzero(which)]


def _are_whole_numbers(x: Float) -> NDArray[np.bool_]:
    """Over a range in which the spacing matters: large floats are whole whatever they count."""
    whole: NDArray[np.bool_] = (x == np.round(x)).all(axis=0) & (np.ptp(x, axis=0) < WHOLE)
    return whole


def _rows_of_one_value(column: Float) -> int:
    return int(np.unique(column, return_counts=True)[1].max())


def _unbounded(flow: Flow, x: Float) -> Float:
    """The columns behind the fixed maps beside the data, such as logarithms."""
    if flow.stochastic or flow.fixed_maps == 0:
        return x
    maps = flow.part(len(flow.layers) - flow.fixed_maps)
    z = np.asarray(maps.inverse(x, _no_context(flow))[0], np.float64)
    return np.where(np.isfinite(z), z, 0.0)


def _no_context(flow: Flow) -> Float | None:
    return np.full(flow.context_features, 0.0) if flow.context_features else None


def _has_long_tails(z: Float) -> NDArray[np.bool_]:
    if len(z) == 0:
        return np.zeros(z.shape[1], bool)
    low, middle, high = np.quantile(z, [0.25, 0.5, 0.75], axis=0)
    return np.asarray((high > low) & (np.abs(z - middle).max(axis=0) > FAR * (high - low)))


def _collinear(z: Float, columns: NDArray[np.int64], least: float) -> list[int]:
    """The columns of the direction in which there is no more than the least variance."""
    if len(columns) < 2 or len(z) < 2 * len(columns):
        return []
    scale = np.ptp(z, axis=0)  # the squares of large numbers would overflow
    if (scale == 0.0).any():
        return []
    correlation = np.corrcoef(z / scale, rowvar=False)
    values, vectors = np.linalg.eigh(correlation)
    if values[0] > least:
        return []
    weights = np.abs(vectors[:, 0])
    return [int(i) for i in columns[weights > 0.1 * weights.max()]]
