"""Warnings of data that a flow cannot learn as they are."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import _core
from .training_rows import TrainingRows

if TYPE_CHECKING:
    from .flow import Flow

__all__ = ["DataWarning", "warn_of_data"]

Float = NDArray[np.float64]

ROWS = 10_000  # looked at, evenly spaced; fewer of many columns, but 1,000
NUMBERS = 40_000
OFTEN = 0.02  # the share of a column that one value may have
FAR = 30.0  # interquartile ranges from the median
MAPS = ("Affine", "CircularShift", "Exp", "OnFeatures", "Sigmoid")  # next to the data in recipes
SINGULAR = 1e-5  # eigenvalue of the correlation matrix


class DataWarning(UserWarning):
    """Data as they are have no density that a flow could learn, or not well; the message names the
    columns and what to do."""


def warn_of_data(
    flow: Flow, rows: TrainingRows, jitter: Float | None, names: Sequence[Any] | None
) -> None:
    """Give a `DataWarning` a kind, from a part of the rows of a table.

    Parameters
    ----------
    flow : Flow
        That is about to be fitted.
    rows : TrainingRows
    jitter : ndarray or None
        By column, the width of the noise that is added.
    names : sequence or None
        Of the columns; None are their numbers.
    """
    if not isinstance(flow, _core.Flow) or len(flow.shape) > 1 or flow.base_shape != flow.shape:
        return
    x = _some_rows(rows)
    if len(x) < 10 or not np.isfinite(x).all():
        return
    names = getattr(flow, "columns", None) or names or range(x.shape[1])
    noisy = np.zeros(x.shape[1], bool) if jitter is None else jitter > 0.0
    for columns, message in _findings(flow, x, noisy):
        which = [names[i] for i in columns]
        if which:
            listed = ", ".join(map(str, which[:8])) + (", …" if len(which) > 8 else "")
            noun = "column" if len(which) == 1 else "columns"
            # The caller of fit, which is wrapped.
            warnings.warn(f"{noun} {listed}: {message}", DataWarning, stacklevel=4)


def _findings(flow: Flow, x: Float, noisy: NDArray[np.bool_]) -> Iterable[tuple[list[int], str]]:
    """Column numbers, and what is to be said of them."""
    constant = np.ptp(x, axis=0) == 0.0
    free = ~constant & ~noisy
    yield _where(constant & ~noisy), "one value in all rows, which has no density: drop it"
    whole = free & (x == np.round(x)).all(axis=0) & (not flow.stochastic)
    yield (
        _where(whole),
        "whole numbers, whose density is unbounded: give fit(jitter=…) their spacing, or make the "
        "flow with columns=[…, count or ordinal(levels), …]",
    )
    often = np.array([_share_of_one_value(column) > OFTEN for column in x.T])
    yield (
        _where(free & ~whole & often & (not flow.stochastic)),
        "one value in many rows, such as one that stands for a missing number, has no density: "
        "drop these rows, or give fit(jitter=…) a width",
    )
    z = _unbounded(flow, x)
    yield (
        _where(~constant & _has_long_tails(z)),
        "numbers far from all others set the scale: drop them if they are errors, make the flow "
        "with standardize='robust', or take logarithms (cflows.positive)",
    )
    # Noise of its own makes a column independent of the others.
    exact = free & ~whole
    yield (
        _collinear(z[:, exact], np.flatnonzero(exact)),
        "one is nearly a linear function of the others, so that the density is nearly unbounded: "
        "drop it, or give the difference instead",
    )


def _some_rows(rows: TrainingRows) -> Float:
    count, features = len(rows), rows.x.shape[1]
    enough = min(count, ROWS, max(1000, NUMBERS // features))
    chosen = np.linspace(0, count - 1, enough).astype(np.int64)
    return np.asarray(rows.x[chosen if rows.index is None else rows.index[chosen]], np.float64)


def _where(which: NDArray[np.bool_]) -> list[int]:
    return [int(i) for i in np.flatnonzero(which)]


def _share_of_one_value(column: Float) -> float:
    return float(np.unique(column, return_counts=True)[1].max() / len(column))


def _unbounded(flow: Flow, x: Float) -> Float:
    """The columns behind the fixed maps beside the data, such as logarithms."""
    layers = len(flow.layers)
    while layers > 0 and flow.layers[layers - 1].type in MAPS:
        if any(name.startswith(f"layers.{layers - 1}.") for name in flow.parameters):
            break
        layers -= 1
    if flow.stochastic or layers == len(flow.layers):
        return x
    z = np.asarray(flow.part(layers).inverse(x, _no_context(flow))[0], np.float64)
    return np.where(np.isfinite(z), z, 0.0)


def _no_context(flow: Flow) -> Float | None:
    return np.full(flow.context_features, 0.0) if flow.context_features else None


def _has_long_tails(z: Float) -> NDArray[np.bool_]:
    low, middle, high = np.quantile(z, [0.25, 0.5, 0.75], axis=0)
    return np.asarray((high > low) & (np.abs(z - middle).max(axis=0) > FAR * (high - low)))


def _collinear(z: Float, columns: NDArray[np.int64]) -> list[int]:
    """The columns of the direction in which there is next to no variance."""
    if len(columns) < 2 or len(z) < 2 * len(columns):
        return []
    scale = z.std(axis=0)
    if (scale == 0.0).any():
        return []
    correlation = np.corrcoef(z / scale, rowvar=False)
    values, vectors = np.linalg.eigh(correlation)
    if values[0] > SINGULAR:
        return []
    weights = np.abs(vectors[:, 0])
    return [int(i) for i in columns[weights > 0.1 * weights.max()]]
