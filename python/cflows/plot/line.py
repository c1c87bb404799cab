"""Densities over the line."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from .canvas import DATA_COLOUR, SAMPLES_COLOUR, Float, limits, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def line_density(
    log_prob: Callable[[Float], ArrayLike],
    points: Float | None,
    ends: tuple[float, float],
    resolution: int,
    ax: Axes | None,
) -> Axes:
    """Draw a density over the line, beside a histogram of data; the arguments are those of
    `density`."""
    at = np.linspace(*ends, resolution + 1)
    prob = np.exp(np.asarray(log_prob(at[:, None]), dtype=np.float64))
    if prob.shape != at.shape:
        raise ValueError(f"expected log-densities of shape {at.shape}, got {prob.shape}")
    ax = new_axes(5.0, 3.6) if ax is None else ax
    if points is not None:
        histogram(ax, points[:, 0], ends)
    ax.plot(at, prob, color=SAMPLES_COLOUR, linewidth=1.5, label="density")
    framed(ax, ends)
    ax.set_xlabel("$x$")
    return ax


def histogram(ax: Axes, values: Float, ends: tuple[float, float]) -> None:
    """Grey bars of the density of data."""
    edges = np.linspace(*ends, 41)
    # Normalised by all values: those outside of the ends are missing inside.
    heights = np.histogram(values, edges)[0] / (len(values) * np.diff(edges))
    ax.stairs(heights, edges, fill=True, color=DATA_COLOUR, alpha=0.6, label="data")


def framed(ax: Axes, ends: tuple[float, float]) -> None:
    """Axes of a density between the ends."""
    ax.set(xlim=ends, ylabel="density")
    ax.set_ylim(bottom=0.0)
    ax.spines[["top", "right"]].set_visible(False)
    if ax.get_legend_handles_labels()[0]:
        ax.legend(frameon=False)


def is_line(model: Any, x: ArrayLike | None, bounds: Any) -> bool:
    """Whether a density is one over the line: of one feature, or with two numbers for bounds."""
    features = getattr(model, "features", None)
    if features is None and x is not None:
        shape = np.shape(x)
        features = 1 if len(shape) == 1 or shape[1:] == (1,) else None
    return features == 1 or (features is None and bounds is not None and np.ndim(bounds) == 1)


def line_ends(points: Float | None, bounds: Any) -> tuple[float, float]:
    """(x_min, x_max), given or of the data."""
    if bounds is not None:
        low, high = bounds
        return float(low), float(high)
    if points is None:
        raise ValueError("expected bounds, or data x to take them from")
    return limits(points[:, 0])
