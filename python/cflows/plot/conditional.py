"""Conditional densities of one feature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from ..arguments import integer
from ..categories import categories_of_context
from ..names import array_by_name
from .canvas import Float, finite_rows, limits, new_axes, thinned
from .line import framed
from .marginal import Marginal, index_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..flow import Flow

_MAX_CURVES = 8
_COLUMNS = 120  # of the image
_MAX_POINTS = 2000


def conditional(
    flow: Flow,
    context: ArrayLike,
    x: ArrayLike | None = None,
    *,
    along: str | int | None = None,
    feature: str | int | None = None,
    quantiles: Sequence[float] = (0.05, 0.5, 0.95),
    bounds: tuple[float, float] | None = None,
    resolution: int = 200,
    ax: Axes | None = None,
) -> Axes:
    """Draw the density of a feature given contexts: curves, or an image along one column.

    Without `along`, a curve for each of the first eight rows of the context. With `along`, an
    image of ``p(x | context)`` over that column's range in the context, the other columns at
    their medians there, and lines of quantiles; the colour is linear in the density, up to the
    median over the columns of the image of the highest there. The density of a flow of one
    feature is exact; that of one feature of several, or of integers, is a histogram of samples.

    Parameters
    ----------
    flow : Flow
        With context.
    context : array_like, shape (m, context_features) or (context_features,)
        Tables with names are matched by them. Rows with NaN are left out.
    x : array_like, shape (m, features) or (m,), optional
        Data with these contexts, drawn as points beside the image: at most two thousand. Beside
        curves, a line where each row's number is.
    along : str or int, optional
        The name or number of a column of the context.
    feature : str or int, optional
        The name or number of a feature, for flows of several.
    quantiles : sequence of float, default (0.05, 0.5, 0.95)
        Lines of the image; none for angles.
    bounds : (x_min, x_max), optional
        Where to look; by default the range of the data, or of samples.
    resolution : int, default 200
        Pixels or points from one end to the other.
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If the flow has no context, a shape is wrong, there is no such column, or several features
        and none is chosen.
    TypeError
        If the resolution is not an int.
    ImportError
        If matplotlib is missing.

    See Also
    --------
    pit, calibration : whether the densities are right.
    cflows.Flow.quantile : the quantiles.

    Examples
    --------
    >>> import cflows as cf
    >>> import numpy as np
    >>> flow = cf.maf(1, layers=1, hidden=8, context_features=2, seed=0)
    >>> contexts = np.random.default_rng(0).normal(size=(100, 2))
    >>> ax = cf.plot.conditional(flow, contexts, along=0)
    >>> ax = cf.plot.conditional(flow, contexts[:3])
    """
    resolution = integer("resolution", resolution, 2)
    if not flow.context_features:
        raise ValueError("conditional needs a flow with context: plot.density draws one without")
    marginal = Marginal(flow, feature)
    rows, data = _rows(flow, marginal, context, x)
    if along is None:
        rows = rows[:_MAX_CURVES]
        ends = bounds or _ends(marginal, rows, data)
        return _curves(marginal, rows, data, ends, resolution, ax)
    names = _names(flow)
    column = index_of("along", along, flow.context_columns, rows.shape[1])
    if categories_of_context(flow)[column]:
        raise ValueError(
            f"along must be a column of numbers, and {names[column]} is one of categories: give a "
            "few contexts and no along, for a curve each"
        )
    given, line = rows, np.linspace(*_range(rows[:, column]), _COLUMNS)
    rows = np.tile(_typical(flow, given), (_COLUMNS, 1))
    rows[:, column] = line
    ends = bounds or _ends(marginal, rows, data)
    ax = _image(marginal, rows, line, ends, quantiles, resolution, ax)
    if data is not None:
        # Both in one table, so that each point keeps its context.
        shown = thinned(np.column_stack([given[:, column], data]), _MAX_POINTS)
        ax.scatter(shown[:, 0], shown[:, 1], s=2.5, color="white", alpha=0.5, linewidths=0.0)
    ax.set(xlabel=names[column], xlim=(line[0], line[-1]), ylim=ends)
    return ax


def _rows(
    flow: Flow, marginal: Marginal, context: ArrayLike, x: ArrayLike | None
) -> tuple[Float, Float | None]:
    """The contexts without NaN, and the feature's numbers with them."""
    table = array_by_name(flow, "context", context).astype(np.float64)
    table = table[None] if table.ndim == 1 else table
    if table.ndim != 2 or table.shape[1] != flow.context_features:
        raise ValueError(f"context must have shape (m, {flow.context_features}), got {table.shape}")
    known = np.isfinite(table).all(axis=1)
    if not known.any():
        raise ValueError("context has no row of finite numbers")
    if x is None:
        return table[known], None
    data = array_by_name(flow, "x", x).astype(np.float64)
    data = data.reshape(len(data), -1) if data.ndim > 0 else data.reshape(1, 1)
    if data.shape != (len(table), flow.features):
        raise ValueError(f"x must have shape {(len(table), flow.features)}, got {data.shape}")
    return table[known], data[known, marginal.index]


def _names(flow: Flow) -> tuple[str, ...]:
    """Of the columns of the context."""
    return flow.context_columns or tuple(f"$c_{{{i + 1}}}$" for i in range(flow.context_features))


def _typical(flow: Flow, rows: Float) -> Float:
    """The median of each column of the context; of categories the one that most rows have."""
    middle = np.median(rows, axis=0)
    for i in np.flatnonzero(categories_of_context(flow)):
        values, counts = np.unique(rows[:, i], return_counts=True)
        middle[i] = values[counts.argmax()]
    return np.asarray(middle, np.float64)


def _range(values: Float) -> tuple[float, float]:
    """All but the outermost 0.5 % of the column."""
    low, high = np.quantile(values, [0.0025, 0.9975])
    if not low < high:
        raise ValueError(f"the context's column is {low:g} in all rows: expected a range of it")
    return float(low), float(high)


def _ends(marginal: Marginal, rows: Float, data: Float | None) -> tuple[float, float]:
    numbers = marginal.samples(rows).reshape(-1) if data is None or len(data) < 100 else data
    return limits(finite_rows(numbers, "x")[:, 0])


def _curves(
    marginal: Marginal,
    rows: Float,
    data: Float | None,
    ends: tuple[float, float],
    resolution: int,
    ax: Axes | None,
) -> Axes:
    at, prob = marginal.density(rows, ends, resolution)
    names = _names(marginal.flow)
    # What tells the curves apart, if that is little.
    told = [i for i in range(rows.shape[1]) if np.ptp(rows[:, i]) > 0.0][:3]
    ax = new_axes(5.0, 3.6) if ax is None else ax
    style = "default" if marginal.exact else "steps-mid"
    for number, (row, curve) in enumerate(zip(rows, prob, strict=True)):
        said = [f"{names[i]} = {_number_or_label(marginal.flow, i, row[i])}" for i in told]
        (line,) = ax.plot(at, curve, linewidth=1.5, drawstyle=style, label=", ".join(said) or None)
        if data is not None:
            ax.axvline(data[number], color=line.get_color(), linewidth=1.0, linestyle=":")
    framed(ax, ends)
    ax.set_xlabel(marginal.name)
    return ax


def _number_or_label(flow: Flow, column: int, value: float) -> str:
    labels = flow.context_categories and flow.context_categories[column]
    return labels[int(value)] if labels else f"{value:.4g}"


def _image(
    marginal: Marginal,
    rows: Float,
    line: Float,
    ends: tuple[float, float],
    quantiles: Sequence[float],
    resolution: int,
    ax: Axes | None,
) -> Axes:
    at, prob = marginal.density(rows, ends, resolution)
    ax = new_axes(5.5, 4.0) if ax is None else ax
    # Of most contexts: where one is told very well, its density is far above all others.
    top = float(np.median(prob.max(axis=1)))
    ax.pcolormesh(line, at, prob.T, cmap="magma", vmin=0.0, vmax=top or None, rasterized=True)
    wanted = np.asarray(quantiles, np.float64)
    if not marginal.circular and len(wanted):
        curves = marginal.quantiles(rows, wanted)
        for p, curve in zip(wanted, curves.T, strict=True):
            style = "-" if p == 0.5 else "--"
            ax.plot(line, curve, color="#2f9fd0", linewidth=1.0, linestyle=style, label=f"{p:g}")
        ax.legend(title="quantiles", fontsize="small", facecolor="0.9")
    ax.set_ylabel(marginal.name)
    return ax
