"""A density over the plane."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from ..arguments import integer
from .canvas import Bounds, Float, aspect, finite_rows, limits, mass_levels, new_axes, thinned

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class HasLogProb(Protocol):
    """What `density` needs of a model; with a context it is ``log_prob(x, context)``."""

    def log_prob(self, x: Any, /) -> Any: ...


def density(
    model: HasLogProb | Callable[[Float], ArrayLike],
    x: ArrayLike | None = None,
    *,
    context: ArrayLike | None = None,
    bounds: Bounds | None = None,
    resolution: int = 200,
    ax: Axes | None = None,
) -> Axes:
    """Draw a density over the plane.

    The colour is linear in the density, from zero to the level that the densest 2 % of the
    probability exceed: otherwise a narrow spike would make the rest black.

    Parameters
    ----------
    model : object with ``log_prob``, or callable
        Takes points, shape (m, 2), and returns their log-densities, shape (m,). NaN stays blank.
    x : array_like, shape (n, 2), optional
        Data to draw on top, at most two thousand points.
    context : array_like, shape (context_features,), optional
        The context of a conditional density; the model takes it after the points.
    bounds : ((x_min, x_max), (y_min, y_max)), optional
        Where to look; by default ``model.bounds``, if it exists, or the range of ``x``.
    resolution : int
        Pixels along each side.
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If there is nothing to take bounds from, ``x``, the context or the log-densities have a
        wrong shape, or the resolution is below 1.
    TypeError
        If the resolution is not an int.
    ImportError
        If matplotlib is missing.

    Examples
    --------
    >>> from cflows import data, plot
    >>> moons = data.toy("moons")
    >>> ax = plot.density(moons, moons.sample(500, seed=0))
    """
    resolution = integer("resolution", resolution, 1)
    points = None if x is None else _points(x)
    features = getattr(model, "features", 2)
    if features != 2:
        raise ValueError(f"expected a model of 2 features, got one of {features}")
    (left, right), (bottom, top) = bounds or _bounds(model, points)
    centres = (np.arange(resolution) + 0.5) / resolution
    across, up = left + (right - left) * centres, bottom + (top - bottom) * centres
    grid = np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2)
    score: Any = model.log_prob if hasattr(model, "log_prob") else model
    given = () if context is None else (context,)
    log_prob = np.asarray(score(grid, *given), dtype=np.float64)
    if log_prob.shape != (len(grid),):
        raise ValueError(f"expected log-densities of shape {(len(grid),)}, got {log_prob.shape}")
    prob = np.exp(log_prob)

    ax = new_axes(4.5, 4.5) if ax is None else ax
    ax.imshow(
        prob.reshape(resolution, resolution),
        extent=(left, right, bottom, top),
        origin="lower",
        cmap="magma",
        vmin=0.0,
        vmax=mass_levels(prob, [0.02])[0],
        aspect=aspect(right - left, top - bottom),
    )
    if points is not None:
        shown = thinned(points, 2000)
        ax.scatter(shown[:, 0], shown[:, 1], s=2.5, color="white", alpha=0.5, linewidths=0.0)
    ax.set(xlim=(left, right), ylim=(bottom, top), xlabel="$x_1$", ylabel="$x_2$")
    return ax


def _points(x: ArrayLike) -> Float:
    points = finite_rows(x, "x")
    if points.shape[1] != 2:
        raise ValueError(f"expected points in the plane, got {points.shape[1]} features")
    return points


def _bounds(model: Any, points: Float | None) -> Bounds:
    bounds: Bounds | None = getattr(model, "bounds", None)
    if bounds is not None:
        return bounds
    if points is None:
        raise ValueError("expected bounds, or data x to take them from")
    return limits(points[:, 0]), limits(points[:, 1])
