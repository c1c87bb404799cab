"""Densities over the plane, side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from numpy.typing import ArrayLike

from ..arguments import integer
from ..names import names_of
from .canvas import Bounds, close_figure, relative_height
from .plane import Model, bar, bounds_of, draw, points_of, raster

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

_MAX_COLUMNS = 5


def densities(
    models: Mapping[str, Model],
    x: ArrayLike | None = None,
    *,
    bounds: Bounds | None = None,
    resolution: int = 200,
    columns: int | None = None,
    figure: Figure | SubFigure | None = None,
) -> Figure | SubFigure:
    """Draw densities side by side, over the same part of the plane and in the same colours.

    Equal colours are then equal densities. The strongest is that of the highest among them, taken
    as in `density`.

    Parameters
    ----------
    models : mapping of str to a model
        The panels by their titles; a model as `density` takes it. One that needs a context is
        given by a callable: ``lambda points: flow.log_prob(points, context)``.
    x : array_like, shape (n, 2), optional
        Data to draw on top of each.
    bounds : ((x_min, x_max), (y_min, y_max)), optional
        Where to look; by default those of the first model, as in `density`.
    resolution : int
        Pixels along each side of a panel.
    columns : int, optional
        Panels in a row; by default at most 5, in rows as equal as can be.
    figure : matplotlib Figure or SubFigure, optional
        Where to draw.

    Returns
    -------
    matplotlib Figure or SubFigure
        Its axes are the panels, then the scale of the colours.

    Raises
    ------
    ValueError
        If there is no model, or as of `density`.
    TypeError
        If the resolution or `columns` is not an int.
    ImportError
        If matplotlib is missing.

    Examples
    --------
    >>> import cflows as cf
    >>> moons = cf.data.toy("moons")
    >>> flow = cf.realnvp(2, layers=2, hidden=8, seed=0)
    >>> figure = cf.plot.densities({"truth": moons, "flow": flow})
    """
    if not models:
        raise ValueError("expected models to draw, by their titles, got none")
    first = next(iter(models.values()))
    orders = {names for names in map(names_of, models.values()) if names is not None}
    if len(orders) > 1:
        told = " and ".join(", ".join(names) for names in sorted(orders))
        raise ValueError(f"expected models of the same columns in one order, got {told}")
    points = None if x is None else points_of(first, x)
    bounds = bounds or bounds_of(first, points)
    rasters = [raster(model, x, points, None, bounds, resolution) for model in models.values()]
    rows = math.ceil(len(models) / _MAX_COLUMNS)
    columns = math.ceil(len(models) / rows) if columns is None else integer("columns", columns, 1)
    rows = math.ceil(len(models) / columns)
    if figure is None:
        figure = close_figure(2.4 * columns + 1.0, (2.4 * relative_height(bounds) + 0.5) * rows)
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    high = max(pixels.high() for pixels in rasters)
    for ax, title, pixels in zip(axes.flat, models, rasters, strict=False):
        image = draw(ax, pixels, points, high)
        ax.set_title(title, fontsize="medium")
        ax.label_outer()
    for ax in axes.flat[len(models) :]:
        ax.set_axis_off()
    bar(figure, image, axes, rasters)
    return figure
