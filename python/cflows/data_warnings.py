"""Warnings of data that a flow cannot learn as they are."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import _core
from .arguments import listed
from .categories import categories_of_context
from .column_statistics import Columns, digests, effective_rows
from .data_findings import TOO_FINE, Sample, findings, findings_of_context
from .data_maps import DataMaps
from .training_rows import TrainingRows

if TYPE_CHECKING:
    from .flow import Flow

__all__ = ["DataWarning", "warn_of_data", "warn_of_rounding"]

Float = NDArray[np.float64]

ROWS = 5000  # looked at, evenly spaced; fewer of many columns, but 1,000
NUMBERS = 40_000
REPEATED = 0.02  # the share of rows that may be equal to others,
FEW_REPEATED = 10  # and how many
MANY = 10  # weights for each number of the data, of which none is held out
FEW_ROWS = 10
FEW_NUMBERS = "next to no numbers, too few to tell a density from: leave {it} out"
EVEN = 0.05  # the share of rows that uneven weights must be worth, up to
ENOUGH = 100  # of them
PIXEL_VALUES = 1024


class DataWarning(UserWarning):
    """Data as they are have no density that a flow could learn, or not well; the message names the
    columns and what to do."""


def warn_of_data(
    flow: Flow,
    rows: TrainingRows,
    held_out: TrainingRows | None,
    jitter: Float | None,
    names: tuple[Sequence[Any] | None, Sequence[Any] | None],
    again: bool,
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
    again : bool
        Whether the fit standardises the data whatever earlier ones did.
    """
    if not isinstance(flow, _core.Flow) or len(rows) == 0:
        return
    for message in _findings_of_rows(flow, rows, held_out):
        _warn("", [], message)
    if len(flow.shape) > 1:
        _warn("", [], _of_images(flow, rows, jitter))
        return
    own = flow.columns or names[0] or range(flow.features)
    x = _some_rows(rows, rows.x)
    numbers = np.isfinite(x).sum(axis=0)
    lacking = (numbers < FEW_ROWS) & (len(rows) >= FEW_ROWS)
    _warn("column", [own[i] for i in np.flatnonzero(lacking).tolist()], FEW_NUMBERS)
    sample = _sample(flow, x, _some_rows(rows, rows.context), jitter)
    if sample is None:
        return
    given = flow.context_columns or names[1] or range(flow.context_features)
    with np.errstate(over="ignore", invalid="ignore"):  # numbers near the ends of float64
        of_x = list(findings(flow, sample, again))
        of_context = list(findings_of_context(flow, sample, again))
    for columns, message in of_x:
        _warn("column", [own[i] for i in columns], message)
    for columns, message in of_context:
        _warn("context column", [given[i] for i in columns], message)


def warn_of_rounding(flow: Flow, x: NDArray[Any]) -> None:
    """Give a `DataWarning` of columns that a flow sees rounded to its dtype."""
    if len(flow.shape) > 1:
        return
    z = DataMaps(flow).to_z(np.asarray(x, np.float64))
    z = z[np.isfinite(z).all(axis=1)]
    if len(z) == 0:
        return
    fine = Columns(z).are_too_fine(flow.dtype)
    own = flow.columns or range(flow.features)
    _warn("column", [own[i] for i in np.flatnonzero(fine).tolist()], TOO_FINE, stacklevel=4)


def _warn(noun: str, columns: Sequence[Any], message: str, stacklevel: int = 5) -> None:
    """What is said of these columns, or of the data if `noun` is empty; "" is nothing."""
    if (noun and not columns) or not message:
        return
    one = len(columns) == 1
    said = f"{noun}{'' if one else 's'} {listed(columns, 8)}: " if noun else ""
    message = message.replace("{it}", "it" if one else "them")
    # The caller of fit, which is wrapped.
    warnings.warn(f"{said}{message}", DataWarning, stacklevel=stacklevel)


# -- rows -- #


def _findings_of_rows(
    flow: Flow, rows: TrainingRows, held_out: TrainingRows | None
) -> Iterator[str]:
    parts = [rows]
    if held_out is not None and held_out.x is rows.x:  # they are rows of one table
        parts.append(held_out)
    count = sum(part.counted for part in parts)
    if count < max(FEW_ROWS, min(flow.features, 1000)) and len(flow.shape) == 1:
        yield (
            f"{count:,} rows of {flow.features:,} columns: too few to tell a density from; take "
            "more rows or fewer columns"
        )
    elif held_out is None:
        yield _of_few_rows(flow, count)
    weights = [part.weights[part.weights > 0.0] for part in parts if part.weights is not None]
    effective = effective_rows(np.concatenate(weights)) if weights else count
    if 0.0 < effective < min(EVEN * count, ENOUGH):
        yield (
            f"weights: few of the {count:,} rows have nearly all, so that they tell as much as "
            f"{effective:,.1f} rows of one weight: look at the largest"
        )
    if len(flow.shape) == 1 and not flow.stochastic:
        yield _of_repeated_rows(rows, parts)


def _of_few_rows(flow: Flow, count: int) -> str:
    weights = sum(array.size for name, array in flow.parameters.items() if name not in flow.frozen)
    if weights <= MANY * count * flow.features:
        return ""
    return (
        f"{count:,} rows for {weights:,} weights, and none held out: the flow may learn the rows "
        "by heart; leave validation at 0.1, or take fewer layers or narrower ones"
    )


def _of_repeated_rows(rows: TrainingRows, parts: Sequence[TrainingRows]) -> str:
    of_rows = rows.context is not None and rows.context.shape[:-1] == (len(rows.x),)
    total = sum(map(len, parts))
    chosen = _first_rows(parts, min(total, ROWS, max(1000, NUMBERS // rows.x.shape[1])))
    table = np.asarray(rows.x[chosen], np.float64)
    if of_rows and rows.context is not None:
        table = np.column_stack([table, rows.context[chosen]])
    table = table[np.isfinite(table).all(axis=1)]
    repeated = np.count_nonzero(np.diff(np.sort(digests(table))) == 0)
    # Of a part of the rows, in no order, as large a part of those equal to them is there.
    share = repeated / max(len(table), 1) * (total / max(len(table), 1))
    if repeated <= FEW_REPEATED or share <= REPEATED or Columns(table).have_few_values().all():
        return ""
    return (
        f"{repeated:,} of {len(table):,} rows repeat another, so that rows held out are learned "
        "too: keep one of each, with their number as its weight (weights=…), or give fit other "
        "rows for validation"
    )


def _first_rows(parts: Sequence[TrainingRows], count: int) -> slice | NDArray[np.int64]:
    """The indices of the first rows of those that are learned and held out together."""
    indices = [part.index[:count] for part in parts if part.index is not None]
    if not indices:
        return slice(count)
    return np.asarray(np.sort(np.concatenate(indices))[:count], np.int64)


def _of_images(flow: Flow, rows: TrainingRows, jitter: Float | None) -> str:
    if flow.stochastic or (jitter is not None and jitter.all()):
        return ""
    pixels = rows.x[_evenly(rows, max(1, min(len(rows), NUMBERS // flow.features)))]
    values = len(np.unique(pixels))
    if 5 * values >= pixels.size or values > PIXEL_VALUES or len(rows) < FEW_ROWS:
        return ""
    return (
        f"pixels of {values:,} different values, whose density is unbounded: make the flow with "
        "discrete=…, or give fit(jitter=…) their spacing"
    )


def _sample(flow: Flow, x: Float, context: Float, jitter: Float | None) -> Sample | None:
    """What findings are of; None if too few of the rows are whole."""
    if len(context) != len(x) or context.shape[1] != flow.context_features:
        context = np.empty((len(x), 0), np.float64)
    known = np.isfinite(x).all(axis=1) & np.isfinite(context).all(axis=1)
    if known.sum() < FEW_ROWS:
        return None
    x, context = x[known], context[known]
    numbers = np.flatnonzero(~categories_of_context(flow))[: context.shape[1]].tolist()
    noisy = np.zeros(flow.features, bool) if jitter is None else jitter > 0.0
    maps = DataMaps(flow)
    z = maps.to_z(x)
    z = np.where(np.isfinite(z), z, 0.0)
    columns = Columns(x)
    mapped = columns if np.array_equal(z, x) else Columns(z)
    known_numbers = Columns(context[:, np.array(numbers, np.int64)])
    return Sample(columns, mapped, maps.are_angles(), known_numbers, numbers, noisy)


def _some_rows(rows: TrainingRows, array: NDArray[Any] | None) -> Float:
    """Up to `ROWS` of x or the context, evenly spaced; none of a context that is one for all
    rows."""
    if array is None or array.shape[:-1] != (len(rows.x),):
        return np.empty((0, 0), np.float64)
    enough = min(len(rows), ROWS, max(1000, NUMBERS // max(1, array.shape[1])))
    return np.asarray(array[_evenly(rows, enough)], np.float64)


def _evenly(rows: TrainingRows, count: int) -> NDArray[np.int64]:
    """The indices of so many rows, evenly spaced."""
    chosen = np.linspace(0, len(rows) - 1, count).astype(np.int64)
    return chosen if rows.index is None else np.asarray(rows.index[chosen], np.int64)
