"""A density over the plane, or the line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike

from ..arguments import integer
from ..names import by_name
from .canvas import (
    Bounds,
    Float,
    aspect,
    close_figure,
    feature_names,
    finite_rows,
    limits,
    mass_levels,
    relative_height,
    thinned,
)
from .line import is_line, line_density, line_ends

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage


class HasLogProb(Protocol):
    """What `density` needs of a model; with a context it is ``log_prob(x, context)``."""

    def log_prob(self, x: Any, /) -> Any: ...


Model = HasLogProb | Callable[[Float], ArrayLike]


class Raster(NamedTuple):
    """The density at the centres of pixels, shape (resolution, resolution)."""

    prob: Float
    bounds: Bounds
    names: tuple[str, ...]

    def high(self) -> float:
        """The level of the strongest colour."""
        return float(mass_levels(self.prob, [0.02])[0]) or 1.0


def density(
    model: Model,
    x: ArrayLike | None = None,
    *,
    context: ArrayLike | None = None,
    bounds: Bounds | tuple[float, float] | None = None,
    resolution: int = 200,
    colorbar: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Draw a density over the plane, or over the line.

    That of one feature is a curve, beside a histogram of the data. Over the plane the colour is
    linear in the density, from zero to the level that the densest 2 % of the probability exceed:
    otherwise a narrow spike would make the rest black. Where the model gives NaN the plane is
    hatched.

    Parameters
    ----------
    model : object with ``log_prob``, or callable
        Takes points, shape (m, 2) or (m, 1), and returns their log-densities, shape (m,).
    x : array_like, shape (n, 2), (n, 1) or (n,), optional
        Data to draw on top, at most two thousand points.
    context : array_like, shape (context_features,), optional
        The context of a conditional density; the model takes it after the points.
    bounds : ((x_min, x_max), (y_min, y_max)) or (x_min, x_max), optional
        Where to look; by default ``model.bounds``, if it exists, or the range of ``x``.
    resolution : int
        Pixels along each side.
    colorbar : bool
        Whether the axes get a scale of the colours beside them.
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib Axes
        Labelled with the names of the columns, if the model or ``x`` has some.

    Raises
    ------
    ValueError
        If there is nothing to take bounds from, ``x``, the context or the log-densities have a
        wrong shape, or the resolution is below 1.
    TypeError
        If the resolution is not an int.
    ImportError
        If matplotlib is missing.

    See Also
    --------
    densities : several side by side, in the same colours.

    Examples
    --------
    >>> from cflows import data, plot
    >>> moons = data.toy("moons")
    >>> ax = plot.density(moons, moons.sample(500, seed=0))
    """
    if is_line(model, x, bounds):
        return _line(model, x, context, bounds, integer("resolution", resolution, 1), ax)
    points = None if x is None else points_of(model, x)
    plane: Any = bounds
    pixels = raster(model, x, points, context, plane, resolution)
    if ax is None:
        ax = close_figure(5.4, 0.6 + 4.0 * relative_height(pixels.bounds)).subplots()
    image = draw(ax, pixels, points, pixels.high())
    if colorbar:
        bar(ax.figure, image, ax, [pixels])
    return ax


def _line(
    model: Any,
    x: ArrayLike | None,
    context: ArrayLike | None,
    bounds: Any,
    resolution: int,
    ax: Axes | None,
) -> Axes:
    score = _scored(model, context)
    points = None if x is None else finite_rows(by_name(model, "x", x), "x")
    ax = line_density(score, points, line_ends(points, bounds), resolution, ax)
    (name,) = feature_names(1, model, x)
    ax.set_xlabel(name)
    return ax


def _scored(model: Any, context: ArrayLike | None) -> Callable[[Float], ArrayLike]:
    """The model's log-densities of points, with the context if there is one."""
    score = model.log_prob if hasattr(model, "log_prob") else model
    given = () if context is None else (context,)
    return lambda points: score(points, *given)


def raster(
    model: Any,
    x: Any,
    points: Float | None,
    context: ArrayLike | None,
    bounds: Bounds | None,
    resolution: int,
) -> Raster:
    """The model's density over the bounds, or over its own, or over the range of the points."""
    resolution = integer("resolution", resolution, 1)
    features = getattr(model, "features", 2)
    if features != 2:
        raise ValueError(f"expected a model of 2 features, got one of {features}")
    bounds = bounds or bounds_of(model, points)
    (left, right), (bottom, top) = bounds
    centres = (np.arange(resolution) + 0.5) / resolution
    across, up = left + (right - left) * centres, bottom + (top - bottom) * centres
    grid = np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2)
    log_prob = np.asarray(_scored(model, context)(grid), dtype=np.float64)
    if log_prob.shape != (len(grid),):
        raise ValueError(f"expected log-densities of shape {(len(grid),)}, got {log_prob.shape}")
    prob = np.exp(log_prob).reshape(resolution, resolution)
    return Raster(prob, bounds, feature_names(2, model, x))


def points_of(model: Any, x: ArrayLike) -> Float:
    """The finite points of a table, by the names of the model's columns if both have some."""
    points = finite_rows(by_name(model, "x", x), "x")
    if points.shape[1] != 2:
        raise ValueError(f"expected points in the plane, got {points.shape[1]} features")
    return points


def bounds_of(model: Any, points: Float | None) -> Bounds:
    """Where to look: the model's own bounds, or around the points."""
    bounds: Bounds | None = getattr(model, "bounds", None)
    if bounds is not None:
        return bounds
    if points is None:
        raise ValueError("expected bounds, or data x to take them from")
    return limits(points[:, 0]), limits(points[:, 1])


# --- Drawing ---------------------------------------------------------------------------------


def draw(ax: Axes, pixels: Raster, points: Float | None, high: float) -> AxesImage:
    """Draw the pixels in colours from 0 to ``high``, and points on them."""
    (left, right), (bottom, top) = pixels.bounds
    image = ax.imshow(
        pixels.prob,
        extent=(left, right, bottom, top),
        origin="lower",
        cmap="magma",
        vmin=0.0,
        vmax=high,
        aspect=aspect(right - left, top - bottom),
    )
    if points is not None:
        shown = thinned(points, 2000)
        ax.scatter(shown[:, 0], shown[:, 1], s=2.5, color="white", alpha=0.5, linewidths=0.0)
    if np.isnan(pixels.prob).any():
        _hatch(ax)
    first, second = pixels.names
    ax.set(xlim=(left, right), ylim=(bottom, top), xlabel=first, ylabel=second)
    return image


def _hatch(ax: Axes) -> None:
    """Make what the image leaves blank differ from a high density, and say what it is."""
    from matplotlib.patches import Patch

    looks: Any = {"hatch": "////", "facecolor": "white", "edgecolor": "0.6", "linewidth": 0.0}
    ax.patch.set(**looks)
    ax.legend(handles=[Patch(label="NaN", **looks)], fontsize="small", loc="upper right")


def bar(figure: Any, image: AxesImage, axes: Any, rasters: Sequence[Raster]) -> None:
    """The scale of the colours of the image, for axes that hold the rasters."""
    # The arrow tells that some pixels are above the strongest colour.
    high = image.get_clim()[1] or 0.0
    above = any(bool((pixels.prob > high).any()) for pixels in rasters)
    extend = "max" if above else "neither"
    figure.colorbar(image, ax=axes, label="density", extend=extend, shrink=0.8)
